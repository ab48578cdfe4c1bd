using Evacuator.Common.Configuration;

namespace Evacuator.Common.Fleet;

/// <summary>The files in [fleet] tls-directory.</summary>
internal static class TlsFiles
{
    public const string Authority = "ca.crt";

    private const int MaximumSize = 64 * 1024;

    public static string Certificate(FleetRole role) => PeerIdentity.Word(role) + ".crt";

    public static string Key(FleetRole role) => PeerIdentity.Word(role) + ".key";

    /// <summary>The text, or null with a mistake added.</summary>
    public static string? Read(string path, bool secret, List<ConfigurationMistake> mistakes)
    {
        const UnixFileMode Others = UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.GroupWrite;
        try
        {
            FileInfo file = new(path);
            string? mistake = null;
            if (!file.Exists)
                mistake = "does not exist: join the fleet with \"evacuator fleet join\"";
            else if (file.Length > MaximumSize)
                mistake = $"is larger than {MaximumSize} bytes";
            else if (secret && (file.UnixFileMode & Others) != 0)
                mistake = $"others may read or change this key: chmod 0640 {path}, and if others could have read it, issue a new one and join again";
            if (mistake is null)
                return File.ReadAllText(path);
            mistakes.Add(new(path, 0, mistake));
        }
        catch (UnauthorizedAccessException)
        {
            mistakes.Add(new(path, 0, $"user {Environment.UserName} may not read it: if the service may not either, join the fleet again, it sets the modes") { NotAllowed = true });
        }
        catch (IOException e)
        {
            mistakes.Add(new(path, 0, $"cannot be read: {e.Message}"));
        }

        return null;
    }
}
