using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Configuration;
using Evacuator.Common.Hosting;

namespace Evacuator.Common.Fleet;

/// <summary>
/// Where the authority's key is: ca.crt, ca.key, the signed list (fleet.json) and the same for people (peers.conf). On the node that made the fleet, where
/// evacuator-authority.service serves it, or anywhere offline. Held by one process at a time.
/// </summary>
/// <remarks>
/// While the authority is being replaced, ca.* is the new one and old.* the one before. How far that is, is said by the list alone, which is one file and replaced as one:
/// <code>
/// list names          signed by    certificates by
/// nothing, or one     it           it                     old.* may be there all the same: a replacement that was interrupted before the list, or after
/// new, old            both         old
/// new, old, issues    both         new
/// </code>
/// If the key of the old one is lost, old.crt is there alone, and the new one signs and issues from the beginning.
/// </remarks>
public sealed class AuthorityDirectory : IDisposable
{
    /// <summary>StateDirectory= of evacuator-authority.service.</summary>
    public const string DefaultPath = "/var/lib/evacuator-authority";

    /// <summary>User= of it.</summary>
    public const string ServiceUser = "evacuator-authority";

    public const string AuthorityCertificate = "ca.crt";

    public const string AuthorityKey = "ca.key";

    public const string OldCertificate = "old.crt";

    public const string OldKey = "old.key";

    public const string PeersList = "peers.conf";

    internal const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private const UnixFileMode AllRead = Private | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    private static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(20);

    private readonly FileStream _lock;
    private readonly TimeProvider _time;
    private IReadOnlyList<FleetAuthority> _keys;

    private AuthorityDirectory(string path, FileStream held, IReadOnlyList<FleetAuthority> keys, bool isNew, SignedRoster roster, TimeProvider time) =>
        (Path, _lock, _keys, IsNew, Signed, _time) = (path, held, keys, isNew, roster, time);

    public string Path { get; }

    /// <summary>Whom the nodes trust.</summary>
    public FleetAuthorities Trusted => Signed.Authorities;

    /// <summary>Whom every node trusts, also one that has heard of no new authority: the oldest whose key is here. It speaks for the service and for tokens.</summary>
    public FleetAuthority Anchor => Signers[0];

    /// <summary>Who issues certificates.</summary>
    public FleetAuthority Issuer => Roster.NewestIssues is null ? Anchor : Newest;

    /// <summary>The newest that is trusted and whose key is here.</summary>
    public FleetAuthority Newest => Signers[^1];

    /// <summary>Whether the authority was made just now.</summary>
    public bool IsNew { get; }

    /// <summary>The list that holds.</summary>
    public SignedRoster Signed { get; private set; }

    public FleetRoster Roster => Signed.Roster;

    /// <summary>SHA-256 of <see cref="Anchor"/>'s certificate, hex.</summary>
    public string Fingerprint => FleetAuthorities.FingerprintOf(Anchor.Certificate);

    /// <summary>Those that are trusted and whose key is here, oldest first; never empty.</summary>
    private IReadOnlyList<FleetAuthority> Signers =>
        [.. Trusted.Fingerprints.Reverse().Select(trusted => _keys.FirstOrDefault(key => FleetAuthorities.FingerprintOf(key.Certificate) == trusted)).OfType<FleetAuthority>()];

    public static bool Exists(string path) => File.Exists(System.IO.Path.Combine(path, AuthorityKey));

    /// <summary>Whether a directory has a key with which the fleet's list can go on.</summary>
    public static bool HasKeyOfList(string path, TimeProvider time)
    {
        if (!Directory.Exists(path))
            return false;
        try
        {
            Open(path, create: false, time).Dispose();
            return true;
        }
        catch (FleetSetupException e) when (e.InnerException is not (IOException or UnauthorizedAccessException))
        {
            return false;
        }
    }

    /// <summary>Waits for another process that is at it, for a while.</summary>
    /// <param name="create">make an authority if the directory has none</param>
    /// <exception cref="FleetSetupException">there is none, half of one, or it cannot be used</exception>
    public static AuthorityDirectory Open(string path, bool create, TimeProvider time) => Locked(path, create, held =>
    {
        IReadOnlyList<FleetAuthority> keys = LoadOrCreate(path, time, out bool isNew);
        AuthorityDirectory directory = new(path, held, keys, isNew, LoadRoster(path, keys, time), time);
        if (directory.Signers.Count > 0)
            return directory;
        foreach (FleetAuthority key in keys)
            key.Dispose();
        throw new FleetSetupException($"{System.IO.Path.Combine(path, AuthorityKey)} is not the key of an authority that {SignedRoster.FileName} names: bring back the directory from its backup");
    });

    /// <summary>
    /// An authority for a fleet whose own one is lost with its key: it is made here, and the list names it beside the lost one. Nothing but a person's word on each node can
    /// make a node believe it. What this directory has besides is kept.
    /// </summary>
    /// <param name="lost">certificate of the one that is lost</param>
    /// <param name="last">the list as it was last</param>
    /// <param name="serveAt">host:port of the service from now on; null: as it was</param>
    public static AuthorityDirectory OpenWithoutKey(string path, X509Certificate2 lost, FleetRoster last, string? serveAt, TimeProvider time) => Locked(path, create: true, held =>
    {
        List<FleetAuthority> present = Pairs(path, time);
        if (present.Any(key => FleetAuthorities.FingerprintOf(key.Certificate) == FleetAuthorities.FingerprintOf(lost)))
            throw new FleetSetupException($"{path} holds the authority's key, so it is not lost");
        // Killed before the list: what was made then is not named anywhere, and is made again.
        Write(path, OldCertificate, lost.ExportCertificatePem() + "\n", AllRead);
        FleetAuthority made = Make(path, time);
        DateTimeOffset now = time.GetUtcNow();
        SignedRoster signed = SignedRoster.Sign((last with { Authorities = [made.CertificatePem, lost.ExportCertificatePem() + "\n"], NewestIssues = null, Authority = serveAt ?? last.Authority }).Next(now), made);
        AuthorityDirectory directory = new(path, held, [made], isNew: true, signed, time);
        directory.Keep(signed);
        return directory;
    });

    /// <summary>Signs and writes the next list.</summary>
    public void Change(Func<FleetRoster, FleetRoster> change)
    {
        FleetRoster next = change(Roster).Next(_time.GetUtcNow());
        Keep(SignedRoster.Sign(next, Signers));
    }

    /// <summary>A second authority, which all nodes are to trust besides the first. Nothing if there is one.</summary>
    public void AddAuthority()
    {
        if (Trusted.All.Count > 1)
            return;
        FleetAuthority old = Signers[0];
        // The old pair is safe under its new name before the new one takes its place; that the list is unchanged says which of them counts.
        Write(OldKey, old.ExportKeyPem());
        Write(OldCertificate, old.CertificatePem, AllRead);
        FleetAuthority made = Make(Path, _time);
        _keys = [.. _keys.Where(key => key == old), made];
        FleetRoster next = (Roster with { Authorities = [made.CertificatePem, old.CertificatePem], NewestIssues = null }).Next(_time.GetUtcNow());
        Keep(SignedRoster.Sign(next, old, made));
    }

    /// <summary>Certificates come from the newest authority from now on.</summary>
    public void IssueByNewest()
    {
        if (Trusted.All.Count > 1 && Roster.NewestIssues is null)
            Change(roster => roster with { NewestIssues = _time.GetUtcNow() });
    }

    /// <summary>Nobody trusts anything but the newest authority from now on; the key of the old one is deleted. Again, it deletes what an interrupted one has left.</summary>
    public void RetireOld()
    {
        if (Trusted.All.Count > 1)
        {
            DateTimeOffset now = _time.GetUtcNow();
            FleetAuthority newest = Newest;
            FleetRoster next = Roster with
            {
                Authorities = [newest.CertificatePem],
                NewestIssues = null,
                Retired = [.. Roster.Retired, .. Trusted.All.Skip(1).Select(old => new RetiredAuthority(old.ExportCertificatePem() + "\n", FleetAuthorities.FingerprintOf(old), now))],
            };
            Keep(SignedRoster.Sign(next.Next(now), newest));
        }

        File.Delete(System.IO.Path.Combine(Path, OldKey));
        File.Delete(System.IO.Path.Combine(Path, OldCertificate));
    }

    /// <summary>A certificate for a node that is in the list or about to come in.</summary>
    /// <exception cref="FleetSetupException">the request is not sound, or the clock stands before the node's revocation</exception>
    /// <param name="lifetime">that of a certificate that its node renews by itself, if nothing is said</param>
    public string Sign(PeerIdentity identity, string requestPem, TimeSpan? lifetime = null)
    {
        DateTimeOffset? before = Roster.Find(identity.Node)?.Before;
        if (before > _time.GetUtcNow())
            throw new FleetSetupException($"{identity.Node} was revoked at {before:u}, which is later than this host's clock says: correct the clock");
        return Issuer.Sign(identity, requestPem, lifetime ?? FleetAuthority.RenewedLifetime, before);
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
        foreach (FleetAuthority key in _keys)
            key.Dispose();
        _lock.Dispose();
    }

    private void Keep(SignedRoster next)
    {
        Write(SignedRoster.FileName, next.Text, AllRead);
        Write(PeersList, PeersFile.Format(next.Roster.Nodes), AllRead);
        Signed = next;
    }

    private static AuthorityDirectory Locked(string path, bool create, Func<FileStream, AuthorityDirectory> open)
    {
        FileStream? held = null;
        try
        {
            if (create)
                Directory.CreateDirectory(path, Private | UnixFileMode.UserExecute);
            // A directory that may not be looked into is not an empty one.
            else if ((Directory.Exists(path) && !Directory.EnumerateFileSystemEntries(path).Any()) || !Exists(path))
                throw new FleetSetupException($"{path} holds no authority: run this where \"evacuator fleet init\" was run, or name its directory with --authority");
            held = Hold(path);
            return open(held);
        }
        catch (Exception e)
        {
            held?.Dispose();
            if (e is IOException or UnauthorizedAccessException)
                throw new FleetSetupException(e is UnauthorizedAccessException ? $"{e.Message} Run it as root." : e.Message, e) { NotAllowed = e is UnauthorizedAccessException };
            throw;
        }
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

    private static List<FleetAuthority> LoadOrCreate(string directory, TimeProvider time, out bool created)
    {
        created = false;
        if (Pairs(directory, time) is { Count: > 0 } pairs)
            return pairs;
        string certificatePath = System.IO.Path.Combine(directory, AuthorityCertificate);
        string keyPath = System.IO.Path.Combine(directory, AuthorityKey);
        switch (File.Exists(certificatePath), File.Exists(keyPath))
        {
            case (true, true):
                throw new FleetSetupException($"{keyPath} is not the key of {certificatePath}: bring back both from the backup");
            case (true, false):
                throw new FleetSetupException($"{certificatePath} is there but its key is not: bring back {keyPath}; if it is lost, see \"evacuator fleet authority new --lost-key\"");
            default:
                // A key alone: killed between the two files of the first init, and no certificate was ever made with it.
                created = true;
                return [Make(directory, time)];
        }
    }

    /// <summary>The authorities whose key is here. Which file has which does not matter: they are found by what fits together.</summary>
    private static List<FleetAuthority> Pairs(string directory, TimeProvider time)
    {
        List<FleetAuthority> pairs = [];
        string?[] keys = [Text(AuthorityKey), Text(OldKey)];
        foreach (string certificate in new[] { Text(AuthorityCertificate), Text(OldCertificate) }.OfType<string>().Distinct())
        {
            foreach (string key in keys.OfType<string>().Distinct())
            {
                try
                {
                    pairs.Add(FleetAuthority.FromPem(certificate, key, time));
                    break;
                }
                catch (Exception e) when (e is CryptographicException or ArgumentException)
                {
                    // Of the other, or damaged: whoever is missed is named by who misses him.
                }
            }
        }

        return pairs;

        string? Text(string name)
        {
            string path = System.IO.Path.Combine(directory, name);
            return File.Exists(path) ? File.ReadAllText(path) : null;
        }
    }

    /// <summary>The key first: killed between the two, it fits nothing and is made again.</summary>
    private static FleetAuthority Make(string directory, TimeProvider time)
    {
        FleetAuthority authority = FleetAuthority.Create(time);
        Write(directory, AuthorityKey, authority.ExportKeyPem(), Private);
        Write(directory, AuthorityCertificate, authority.CertificatePem, AllRead);
        return authority;
    }

    /// <summary>A directory of an earlier release has the unsigned list only.</summary>
    private static SignedRoster LoadRoster(string directory, IReadOnlyList<FleetAuthority> keys, TimeProvider time)
    {
        string path = System.IO.Path.Combine(directory, SignedRoster.FileName);
        if (File.Exists(path))
        {
            string text = File.ReadAllText(path);
            // In the middle of a replacement not every key that is here has signed it.
            FleetSetupException? why = null;
            foreach (FleetAuthority key in keys)
            {
                try
                {
                    return SignedRoster.Parse(text, FleetAuthorities.Of(key.Certificate), path);
                }
                catch (FleetSetupException e)
                {
                    why ??= e;
                }
            }

            throw why!;
        }

        string peersPath = System.IO.Path.Combine(directory, PeersList);
        IReadOnlyList<Peer> peers = [];
        if (File.Exists(peersPath))
        {
            Checked<IReadOnlyList<Peer>> known = PeersFile.Load(peersPath);
            peers = known.Value ?? throw new FleetSetupException(string.Join('\n', known.Mistakes));
        }

        return SignedRoster.Sign(new FleetRoster { Number = 0, Made = time.GetUtcNow(), Nodes = peers }, keys[0]);
    }
}
