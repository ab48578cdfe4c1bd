using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Configuration;
using Evacuator.Common.Hosting;

namespace Evacuator.Common.Fleet;

/// <summary>
/// Where the authority's key is: ca.crt, ca.key, the signed list (fleet.json) and the same for people (peers.conf). On the node that made the fleet, where
/// evacuator-authority.service serves it, or anywhere offline. Held by one process at a time.
/// </summary>
public sealed class AuthorityDirectory : IDisposable
{
    /// <summary>StateDirectory= of evacuator-authority.service.</summary>
    public const string DefaultPath = "/var/lib/evacuator-authority";

    /// <summary>User= of it.</summary>
    public const string ServiceUser = "evacuator-authority";

    public const string AuthorityCertificate = "ca.crt";

    public const string AuthorityKey = "ca.key";

    public const string PeersList = "peers.conf";

    internal const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private const UnixFileMode AllRead = Private | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    private static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(20);

    private readonly FileStream _lock;
    private readonly TimeProvider _time;

    private AuthorityDirectory(string path, FileStream held, FleetAuthority authority, bool isNew, SignedRoster roster, TimeProvider time) =>
        (Path, _lock, Authority, IsNew, Signed, _time) = (path, held, authority, isNew, roster, time);

    public string Path { get; }

    public FleetAuthority Authority { get; }

    /// <summary>Whether the authority was made just now.</summary>
    public bool IsNew { get; }

    /// <summary>The list that holds.</summary>
    public SignedRoster Signed { get; private set; }

    public FleetRoster Roster => Signed.Roster;

    /// <summary>SHA-256 of the authority's certificate, hex.</summary>
    public string Fingerprint => Authority.Certificate.GetCertHashString(HashAlgorithmName.SHA256);

    public static bool Exists(string path) => File.Exists(System.IO.Path.Combine(path, AuthorityKey));

    /// <summary>Waits for another process that is at it, for a while.</summary>
    /// <param name="create">make an authority if the directory has none</param>
    /// <exception cref="FleetSetupException">there is none, half of one, or it cannot be used</exception>
    public static AuthorityDirectory Open(string path, bool create, TimeProvider time)
    {
        FileStream? held = null;
        FleetAuthority? authority = null;
        try
        {
            if (create)
                Directory.CreateDirectory(path, Private | UnixFileMode.UserExecute);
            // A directory that may not be looked into is not an empty one.
            else if (Directory.Exists(path) && !Directory.EnumerateFileSystemEntries(path).Any() || !Exists(path))
                throw new FleetSetupException($"{path} holds no authority: run this where \"evacuator fleet init\" was run, or name its directory with --authority");
            held = Hold(path);
            authority = LoadOrCreate(path, time, out bool isNew);
            return new AuthorityDirectory(path, held, authority, isNew, LoadRoster(path, authority, time), time);
        }
        catch (Exception e)
        {
            authority?.Dispose();
            held?.Dispose();
            if (e is IOException or UnauthorizedAccessException)
                throw new FleetSetupException(e is UnauthorizedAccessException ? $"{e.Message} Run it as root." : e.Message, e) { NotAllowed = e is UnauthorizedAccessException };
            throw;
        }
    }

    /// <summary>Signs and writes the next list.</summary>
    public void Change(Func<FleetRoster, FleetRoster> change)
    {
        SignedRoster next = SignedRoster.Sign(change(Roster).Next(_time.GetUtcNow()), Authority);
        Write(SignedRoster.FileName, next.Text, AllRead);
        Write(PeersList, PeersFile.Format(next.Roster.Nodes), AllRead);
        Signed = next;
    }

    /// <summary>A certificate for a node that is in the list or about to come in.</summary>
    /// <exception cref="FleetSetupException">the request is not sound, or the clock stands before the node's revocation</exception>
    public string Sign(PeerIdentity identity, string requestPem)
    {
        DateTimeOffset? before = Roster.Find(identity.Node)?.Before;
        if (before > _time.GetUtcNow())
            throw new FleetSetupException($"{identity.Node} was revoked at {before:u}, which is later than this host's clock says: correct the clock");
        return Authority.Sign(identity, requestPem, FleetAuthority.RenewedLifetime, before);
    }

    /// <summary>A file of this directory, for its owner alone unless told otherwise.</summary>
    public void Write(string name, string text, UnixFileMode mode = Private) => Write(Path, name, text, mode);

    public string? Read(string name)
    {
        string path = System.IO.Path.Combine(Path, name);
        return File.Exists(path) ? File.ReadAllText(path) : null;
    }

    public void Dispose()
    {
        Authority.Dispose();
        _lock.Dispose();
    }

    /// <summary>What root writes for the service has to be the service's.</summary>
    private static void Write(string directory, string name, string text, UnixFileMode mode) =>
        AtomicFile.Write(System.IO.Path.Combine(directory, name), text, mode, uid: directory == DefaultPath && Accounts.IsRoot ? Accounts.UserId(ServiceUser) : null);

    /// <summary>Another process is waited for in the time that passes for both, whatever clock the authority goes by.</summary>
    private static FileStream Hold(string path)
    {
        TimeProvider time = TimeProvider.System;
        string file = System.IO.Path.Combine(path, ".lock");
        long since = time.GetTimestamp();
        while (true)
        {
            try
            {
                FileStream held = new(file, new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None, UnixCreateMode = Private });
                if (path == DefaultPath && Accounts.IsRoot && Accounts.UserId(ServiceUser) is { } owner)
                    _ = Interop.ChangeOwner(file, owner, uint.MaxValue);
                return held;
            }
            catch (IOException e) when (e is not (FileNotFoundException or DirectoryNotFoundException))
            {
                if (time.GetElapsedTime(since) > LockPatience)
                    throw new FleetSetupException($"{path} is in use by another evacuator: try again", e);
                Task.Delay(TimeSpan.FromMilliseconds(20), time).GetAwaiter().GetResult();
            }
        }
    }

    private static FleetAuthority LoadOrCreate(string directory, TimeProvider time, out bool created)
    {
        string certificatePath = System.IO.Path.Combine(directory, AuthorityCertificate);
        string keyPath = System.IO.Path.Combine(directory, AuthorityKey);
        created = false;
        switch (File.Exists(certificatePath), File.Exists(keyPath))
        {
            case (true, true):
                try
                {
                    return FleetAuthority.FromPem(File.ReadAllText(certificatePath), File.ReadAllText(keyPath), time);
                }
                catch (Exception e) when (e is CryptographicException or ArgumentException)
                {
                    throw new FleetSetupException($"{keyPath} is not the key of {certificatePath}: {e.Message}", e);
                }

            case (true, false):
                throw new FleetSetupException($"{certificatePath} is there but its key is not: bring back {keyPath}, or begin a new fleet in an empty directory");
            case (false, true):
                // Killed between the two files of the first init: no certificate was ever made with this key.
            default:
                FleetAuthority authority = FleetAuthority.Create(time);
                Write(directory, AuthorityKey, authority.ExportKeyPem(), Private);
                Write(directory, AuthorityCertificate, authority.CertificatePem, AllRead);
                created = true;
                return authority;
        }
    }

    /// <summary>A directory of an earlier release has the unsigned list only.</summary>
    private static SignedRoster LoadRoster(string directory, FleetAuthority authority, TimeProvider time)
    {
        string path = System.IO.Path.Combine(directory, SignedRoster.FileName);
        if (File.Exists(path))
            return SignedRoster.Parse(File.ReadAllText(path), authority.Certificate, path);
        string peersPath = System.IO.Path.Combine(directory, PeersList);
        IReadOnlyList<Peer> peers = [];
        if (File.Exists(peersPath))
        {
            Checked<IReadOnlyList<Peer>> known = PeersFile.Load(peersPath);
            peers = known.Value ?? throw new FleetSetupException(string.Join('\n', known.Mistakes));
        }

        return SignedRoster.Sign(new FleetRoster { Number = 0, Made = time.GetUtcNow(), Nodes = peers }, authority);
    }
}
