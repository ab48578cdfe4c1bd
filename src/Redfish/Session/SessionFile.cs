using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Evacuator.Redfish.Session;

/// <summary>
/// Remembers on disk which sessions of ours exist at one BMC, so that those a crash left behind are deleted at the next start. Session URIs only, never a token.
/// One file per client, held by an exclusive lock while the client lives: two clients of one BMC take two files, and a file nobody holds is a dead client's.
/// </summary>
/// <remarks>File <c>bmc-session-HASH-N.json</c>, mode 0600: <c>{"origin":"https://…/","sessions":["/redfish/v1/SessionService/Sessions/7"]}</c>.</remarks>
internal sealed class SessionFile : IDisposable
{
    private const int MaxFiles = 16;
    private const int MaxSessions = 32;
    private const int MaxBytes = 64 * 1024;

    private readonly Lock _lock = new();
    private readonly FileStream? _file;
    private readonly string _origin;
    private readonly List<string> _sessions = [];

    private SessionFile(FileStream? file, string origin)
    {
        _file = file;
        _origin = origin;
    }

    /// <summary>What could not be kept on disk, and why; null when all is well. Not fatal: sessions then leak only if we crash.</summary>
    public string? Problem { get; private set; }

    /// <summary>Sessions that are, or may be, alive at the BMC.</summary>
    public IReadOnlyList<string> Sessions
    {
        get
        {
            lock (_lock)
                return [.. _sessions];
        }
    }

    /// <summary>Takes a free file for this BMC and account, and takes over what dead clients left in theirs.</summary>
    public static SessionFile Open(string? folder, Uri origin, string user)
    {
        if (folder is null)
            return new SessionFile(null, origin.ToString());
        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{origin} {user}")))[..16];
        SessionFile? ours = null;
        string? problem = null;
        List<string> left = [];
        for (int number = 0; number < MaxFiles; number++)
        {
            string path = Path.Combine(folder, $"bmc-session-{hash}-{number}.json");
            if (ours is not null && !File.Exists(path))
                continue;
            try
            {
                Directory.CreateDirectory(folder);
                // The exclusive share is a flock: free as soon as its holder is gone, however it went.
                FileStreamOptions options = new() { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None };
                if (!OperatingSystem.IsWindows())
                    options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
                FileStream file = new(path, options);
                left.AddRange(Read(file));
                if (ours is null)
                {
                    ours = new SessionFile(file, origin.ToString());
                    continue;
                }
                File.Delete(path);
                file.Dispose();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                problem = $"{path}: {e.Message}";
            }
        }
        ours ??= new SessionFile(null, origin.ToString()) { Problem = $"the BMC session cannot be remembered for the case of a crash: {problem}" };
        foreach (string session in left.Distinct().Take(MaxSessions))
            ours._sessions.Add(session);
        ours.Save();
        return ours;
    }

    public void Add(string session)
    {
        lock (_lock)
        {
            if (_sessions.Contains(session))
                return;
            // Beyond the bound the oldest has long timed out.
            if (_sessions.Count >= MaxSessions)
                _sessions.RemoveAt(0);
            _sessions.Add(session);
        }
        Save();
    }

    public void Remove(string session)
    {
        lock (_lock)
            if (!_sessions.Remove(session))
                return;
        Save();
    }

    private static List<string> Read(FileStream file)
    {
        try
        {
            if (file.Length is 0 or > MaxBytes)
                return [];
            using JsonDocument document = JsonDocument.Parse(file);
            return document.RootElement.TryGetProperty("sessions", out JsonElement sessions) && sessions.ValueKind == JsonValueKind.Array
                ? [.. sessions.EnumerateArray().Where(s => s.ValueKind == JsonValueKind.String).Select(s => s.GetString()!).Where(s => s.StartsWith('/') || s.StartsWith("http", StringComparison.Ordinal))]
                : [];
        }
        catch (JsonException)
        {
            // Torn by a power cut: the session it named times out at the BMC.
            return [];
        }
    }

    private void Save()
    {
        lock (_lock)
        {
            if (_file is null)
                return;
            try
            {
                byte[] text = JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, object> { ["origin"] = _origin, ["sessions"] = _sessions });
                // Written in place, because the lock lies on this inode.
                _file.Position = 0;
                _file.Write(text);
                _file.SetLength(text.Length);
                _file.Flush(flushToDisk: false);
            }
            catch (IOException e)
            {
                Problem = $"the BMC session cannot be remembered for the case of a crash: {_file.Name}: {e.Message}";
            }
        }
    }

    /// <summary>Releases the file; deletes it when no session is left.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_file is null)
                return;
            if (_sessions.Count == 0)
            {
                try
                {
                    File.Delete(_file.Name);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    // An empty file that stays is harmless: the next start takes it.
                }
            }
            _file.Dispose();
        }
    }
}
