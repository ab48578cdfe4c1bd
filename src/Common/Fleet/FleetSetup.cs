using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Configuration;
using Evacuator.Common.Hosting;

namespace Evacuator.Common.Fleet;

/// <summary>What <see cref="FleetSetup.Init"/> has made.</summary>
/// <param name="NewAuthority">false if the directory had an authority already and it was used again</param>
/// <param name="Fingerprint">SHA-256 of the authority's certificate, hex</param>
/// <param name="Peers">all nodes of the fleet, earlier ones included</param>
/// <param name="Bundles">the join bundles, in the order of <paramref name="Peers"/></param>
public sealed record FleetInitResult(bool NewAuthority, string Fingerprint, IReadOnlyList<Peer> Peers, IReadOnlyList<string> Bundles);

/// <summary>What <see cref="FleetSetup.Join"/> has done.</summary>
/// <param name="Node">our name from now on</param>
/// <param name="Fingerprint">SHA-256 of the fleet's authority, hex</param>
/// <param name="Peers">all nodes of the fleet</param>
/// <param name="Files">written files</param>
public sealed record FleetJoinResult(string Node, string Fingerprint, IReadOnlyList<Peer> Peers, IReadOnlyList<string> Files);

/// <summary>
/// Makes a fleet and lets a node join it. Both may be repeated: init adds nodes to the authority that its directory holds and writes all bundles
/// anew with the longer list; join puts the same files again.
/// </summary>
public sealed class FleetSetup(TimeProvider time)
{
    public const string AuthorityCertificate = "ca.crt";

    public const string AuthorityKey = "ca.key";

    public const string PeersList = "peers.conf";

    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private const UnixFileMode GroupReads = Private | UnixFileMode.GroupRead;

    private const UnixFileMode AllRead = GroupReads | UnixFileMode.OtherRead;

    /// <summary>"name=address" from the command line.</summary>
    /// <exception cref="FleetSetupException">it is not of this form</exception>
    public static Peer ParseNode(string text)
    {
        if (text.Split('=', 2) is not [var name, var address])
            throw new FleetSetupException($"\"{text}\": write NAME=ADDRESS");
        if (!NodeName.IsValid(name))
            throw new FleetSetupException($"\"{name}\": a node's name must be {NodeName.Permitted}");
        return PeersFile.IsAddress(address) ? new Peer(name, address) : throw new FleetSetupException($"\"{address}\": must be a host name or an IP address, without port");
    }

    /// <summary>Writes ca.crt, ca.key, peers.conf and one NODE.join for each node, all readable by their owner alone.</summary>
    /// <exception cref="FleetSetupException">the nodes contradict each other, or the directory holds half an authority</exception>
    public FleetInitResult Init(string outputDirectory, IReadOnlyList<Peer> nodes)
    {
        try
        {
            Directory.CreateDirectory(outputDirectory, Private | UnixFileMode.UserExecute);
            string peersPath = Path.Combine(outputDirectory, PeersList);
            IReadOnlyList<Peer> peers = Merge(File.Exists(peersPath) ? Read(peersPath) : [], nodes);
            using FleetAuthority authority = LoadOrCreate(outputDirectory, out bool created);

            List<string> bundles = [];
            foreach (Peer peer in peers)
            {
                JoinBundle bundle = new()
                {
                    Magic = JoinBundle.ExpectedMagic,
                    Version = JoinBundle.CurrentVersion,
                    Node = peer.Name,
                    Authority = authority.CertificatePem,
                    Brain = authority.Issue(new PeerIdentity(peer.Name, FleetRole.Brain)),
                    Agent = authority.Issue(new PeerIdentity(peer.Name, FleetRole.Agent)),
                    Peers = peers,
                };
                string path = Path.Combine(outputDirectory, peer.Name + ".join");
                AtomicFile.Write(path, bundle.ToJson(), Private);
                bundles.Add(path);
            }

            AtomicFile.Write(peersPath, PeersFile.Format(peers), AllRead);
            return new FleetInitResult(created, authority.Certificate.GetCertHashString(HashAlgorithmName.SHA256), peers, bundles);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FleetSetupException(e.Message, e);
        }
    }

    /// <summary>
    /// Makes this host the bundle's node: writes tls/*, peers.conf and evacuator.conf.d/10-fleet.conf below <paramref name="etcDirectory"/>. The
    /// services read them when they start. Needs root on a real node, where the brain's key is given to group evacuator.
    /// </summary>
    /// <param name="bundlePath">NODE.join</param>
    /// <param name="etcDirectory">/etc/evacuator</param>
    /// <param name="replaceFleet">join even if this host belongs to another fleet or was another node</param>
    /// <exception cref="FleetSetupException">the bundle is not sound, this host belongs to another fleet, or files cannot be written; the services stay as they were then</exception>
    public FleetJoinResult Join(string bundlePath, string etcDirectory = "/etc/evacuator", bool replaceFleet = false)
    {
        if (!Accounts.IsRoot)
            throw new FleetSetupException("joining a fleet writes keys that only root may own: run it as root");
        uint group = Accounts.GroupId(Accounts.Service)
            ?? throw new FleetSetupException($"there is no group {Accounts.Service} on this host: install the evacuator package first");
        return Join(bundlePath, etcDirectory, group, replaceFleet);
    }

    /// <param name="group">owns the brain's key; null leaves it to the caller's</param>
    internal FleetJoinResult Join(string bundlePath, string etcDirectory, uint? group, bool replaceFleet = false)
    {
        // 1. The bundle is sound.
        JoinBundle bundle = JoinBundle.Read(bundlePath);
        Verify(bundlePath, bundle);
        using X509Certificate2 authority = X509Certificate2.CreateFromPem(bundle.Authority);

        // 2. This host is free for it.
        string tls = Path.Combine(etcDirectory, "tls");
        if (!replaceFleet)
            RefuseOtherFleet(tls, authority, bundle.Node);

        // 3. All files are written whole beside their places, then get their names; agent.crt last: the units start only if it exists.
        string dropIns = Path.Combine(etcDirectory, "evacuator.conf.d");
        List<string> files = [];
        List<AtomicFile> prepared = [];
        try
        {
            const UnixFileMode Folder = AllRead | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
            Directory.CreateDirectory(etcDirectory, Folder);
            Directory.CreateDirectory(tls, Folder);
            Directory.CreateDirectory(dropIns, Folder);
            Prepare(Path.Combine(tls, TlsFiles.Authority), bundle.Authority, AllRead);
            Prepare(Path.Combine(tls, TlsFiles.Key(FleetRole.Brain)), bundle.Brain.KeyPem, GroupReads, group);
            Prepare(Path.Combine(tls, TlsFiles.Certificate(FleetRole.Brain)), bundle.Brain.CertificatePem, AllRead);
            Prepare(Path.Combine(tls, TlsFiles.Key(FleetRole.Agent)), bundle.Agent.KeyPem, Private);
            Prepare(Path.Combine(etcDirectory, PeersList), PeersFile.Format(bundle.Peers), AllRead);
            Prepare(Path.Combine(dropIns, "10-fleet.conf"), $"# Written by \"evacuator fleet join\".\n[node]\nname = {bundle.Node}\n", AllRead);
            Prepare(Path.Combine(tls, TlsFiles.Certificate(FleetRole.Agent)), bundle.Agent.CertificatePem, AllRead);
            foreach (AtomicFile file in prepared)
                file.Commit();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FleetSetupException(e.Message, e);
        }
        finally
        {
            foreach (AtomicFile file in prepared)
                file.Dispose();
        }

        return new FleetJoinResult(bundle.Node, authority.GetCertHashString(HashAlgorithmName.SHA256), bundle.Peers, files);

        void Prepare(string path, string text, UnixFileMode mode, uint? gid = null)
        {
            prepared.Add(AtomicFile.Prepare(path, text, mode, gid: gid));
            files.Add(path);
        }
    }

    /// <summary>Earlier nodes keep their place; a node named again gets its new address.</summary>
    private static List<Peer> Merge(IReadOnlyList<Peer> earlier, IReadOnlyList<Peer> nodes)
    {
        List<Peer> merged = [.. earlier];
        HashSet<string> named = [];
        foreach (Peer node in nodes)
        {
            if (!named.Add(node.Name))
                throw new FleetSetupException($"{node.Name} is named twice");
            int index = merged.FindIndex(peer => peer.Name == node.Name);
            if (index < 0)
                merged.Add(node);
            else
                merged[index] = node;
        }

        if (merged.GroupBy(peer => peer.Address).FirstOrDefault(group => group.Count() > 1) is { } shared)
            throw new FleetSetupException($"{string.Join(" and ", shared.Select(peer => peer.Name))} have the same address {shared.Key}");
        return merged.Count > 0 ? merged : throw new FleetSetupException("name at least one node: NAME=ADDRESS");
    }

    private static IReadOnlyList<Peer> Read(string path)
    {
        Checked<IReadOnlyList<Peer>> peers = PeersFile.Load(path);
        return peers.Value ?? throw new FleetSetupException(string.Join('\n', peers.Mistakes));
    }

    private FleetAuthority LoadOrCreate(string directory, out bool created)
    {
        string certificatePath = Path.Combine(directory, AuthorityCertificate);
        string keyPath = Path.Combine(directory, AuthorityKey);
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
                AtomicFile.Write(keyPath, authority.ExportKeyPem(), Private);
                AtomicFile.Write(certificatePath, authority.CertificatePem, AllRead);
                created = true;
                return authority;
        }
    }

    private void Verify(string path, JoinBundle bundle)
    {
        if (!NodeName.IsValid(bundle.Node))
            throw new FleetSetupException($"{path}: \"{bundle.Node}\" is not a node's name");
        Checked<IReadOnlyList<Peer>> peers = PeersFile.Interpret(IniFile.Parse(path, PeersFile.Format(bundle.Peers)));
        if (peers.Value is null || !peers.Value.SequenceEqual(bundle.Peers))
            throw new FleetSetupException($"{path}: its list of nodes is not sound: {peers.Mistakes.FirstOrDefault()?.Text ?? "names or addresses with forbidden characters"}");
        if (!bundle.Peers.Any(peer => peer.Name == bundle.Node))
            throw new FleetSetupException($"{path}: its list of nodes does not name {bundle.Node}");
        try
        {
            using X509Certificate2 authority = X509Certificate2.CreateFromPem(bundle.Authority);
            foreach ((IssuedCertificate issued, FleetRole role) in new[] { (bundle.Brain, FleetRole.Brain), (bundle.Agent, FleetRole.Agent) })
            {
                using X509Certificate2 certificate = X509Certificate2.CreateFromPem(issued.CertificatePem, issued.KeyPem);
                if (FleetTrust.WhyNot(certificate, authority, time.GetUtcNow()) is { } reason)
                    throw new FleetSetupException($"{path}: the certificate of {bundle.Node}/{PeerIdentity.Word(role)} {reason}");
                if (PeerIdentity.From(certificate) != new PeerIdentity(bundle.Node, role))
                    throw new FleetSetupException($"{path}: a certificate is not for {bundle.Node}/{PeerIdentity.Word(role)}");
            }
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new FleetSetupException($"{path}: a certificate or key in it is damaged: {e.Message}", e);
        }
    }

    private static void RefuseOtherFleet(string tls, X509Certificate2 authority, string node)
    {
        try
        {
            string path = Path.Combine(tls, TlsFiles.Authority);
            if (File.Exists(path))
            {
                using X509Certificate2 present = X509CertificateLoader.LoadCertificateFromFile(path);
                if (!present.RawDataMemory.Span.SequenceEqual(authority.RawDataMemory.Span))
                    throw new FleetSetupException($"this host belongs to another fleet (authority {present.GetCertHashString(HashAlgorithmName.SHA256)}); --replace leaves it");
            }

            path = Path.Combine(tls, TlsFiles.Certificate(FleetRole.Agent));
            if (File.Exists(path))
            {
                using X509Certificate2 present = X509CertificateLoader.LoadCertificateFromFile(path);
                if (PeerIdentity.From(present) is { } identity && identity.Node != node)
                    throw new FleetSetupException($"this host is {identity.Node} and the bundle is for {node}; --replace renames it");
            }
        }
        catch (CryptographicException)
        {
            // What is there is no certificate: nothing to protect, joining repairs it.
        }
    }
}
