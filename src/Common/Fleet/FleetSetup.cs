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

/// <summary>All that makes a host a node.</summary>
/// <param name="Authorities">that the node trusts, PEM, newest first</param>
/// <param name="Peers">all nodes, this one included</param>
/// <param name="Roster">the same, signed; null from a release that did not sign it</param>
public sealed record NodeFiles(string Name, FleetAuthorities Authorities, IssuedCertificate Brain, IssuedCertificate Agent, IReadOnlyList<Peer> Peers, SignedRoster? Roster);

/// <summary>
/// Makes a fleet and lets a node join it. Both may be repeated: init adds nodes to the authority that its directory holds and writes all bundles
/// anew with the longer list; join puts the same files again.
/// </summary>
public sealed class FleetSetup(TimeProvider time)
{
    public const string PeersList = "peers.conf";

    private const string DropIn = "10-fleet.conf";

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
            using AuthorityDirectory directory = AuthorityDirectory.Open(outputDirectory, create: true, time);
            IReadOnlyList<Peer> peers = Merge(directory.Roster.Nodes, nodes);
            // A node that was revoked and is named again comes back with new certificates; the earlier ones stay void.
            directory.Change(roster => roster with { Nodes = peers });

            List<string> bundles = [];
            foreach (Peer peer in peers)
            {
                JoinBundle bundle = new()
                {
                    Magic = JoinBundle.ExpectedMagic,
                    Version = JoinBundle.CurrentVersion,
                    Node = peer.Name,
                    Authority = directory.Trusted.Pem,
                    Brain = Issue(directory, new PeerIdentity(peer.Name, FleetRole.Brain)),
                    Agent = Issue(directory, new PeerIdentity(peer.Name, FleetRole.Agent)),
                    Peers = peers,
                    Roster = directory.Signed.Text,
                };
                string path = Path.Combine(outputDirectory, peer.Name + ".join");
                AtomicFile.Write(path, bundle.ToJson(), Private);
                bundles.Add(path);
            }

            return new FleetInitResult(directory.IsNew, FleetAuthorities.FingerprintOf(directory.Issuer.Certificate), peers, bundles);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FleetSetupException(e.Message, e) { NotAllowed = e is UnauthorizedAccessException };
        }
    }

    /// <summary>
    /// Makes a fleet whose authority stays on this host and is served from here, with this host as its first node; nodes join by token then. Again, it puts this host's own
    /// files anew.
    /// </summary>
    /// <param name="authorityDirectory"><see cref="AuthorityDirectory.DefaultPath"/></param>
    /// <param name="serveAt">host:port of evacuator-authority.service</param>
    public FleetJoinResult Found(string authorityDirectory, Peer self, string serveAt, string etcDirectory, bool replaceFleet = false)
    {
        uint group = RequireRoot();
        using AuthorityDirectory directory = AuthorityDirectory.Open(authorityDirectory, create: true, time);
        return Found(directory, self, serveAt, etcDirectory, group, replaceFleet);
    }

    /// <inheritdoc cref="Found(string, Peer, string, string, bool)"/>
    /// <param name="group">owns the brain's key; null leaves it to the caller's</param>
    public FleetJoinResult Found(AuthorityDirectory directory, Peer self, string serveAt, string etcDirectory, uint? group, bool replaceFleet)
    {
        if (!replaceFleet)
            RefuseOtherFleet(Path.Combine(etcDirectory, "tls"), directory.Trusted, self.Name);
        directory.Change(roster => roster with { Nodes = Merge(roster.Nodes, [self]), Authority = serveAt });
        return Install(new NodeFiles(
            self.Name, directory.Trusted, Issue(directory, new PeerIdentity(self.Name, FleetRole.Brain)), Issue(directory, new PeerIdentity(self.Name, FleetRole.Agent)),
            directory.Roster.Nodes, directory.Signed), etcDirectory, group);
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
        return Join(bundlePath, etcDirectory, RequireRoot(), replaceFleet);
    }

    /// <summary>The group that reads the brain's key.</summary>
    /// <exception cref="FleetSetupException">the caller is not root, or the package is not installed</exception>
    public static uint RequireRoot()
    {
        if (!Accounts.IsRoot)
            throw new FleetSetupException("a fleet's files hold keys that only root may own: run it as root") { NotAllowed = true };
        return Accounts.GroupId(Accounts.Service)
            ?? throw new FleetSetupException($"there is no group {Accounts.Service} on this host: install the evacuator package first");
    }

    /// <param name="group">owns the brain's key; null leaves it to the caller's</param>
    internal FleetJoinResult Join(string bundlePath, string etcDirectory, uint? group, bool replaceFleet = false)
    {
        // 1. The bundle is sound.
        JoinBundle bundle = JoinBundle.Read(bundlePath);
        Verify(bundlePath, bundle);
        FleetAuthorities authorities = FleetAuthorities.FromPem(bundle.Authority, bundlePath);

        // 2. This host is free for it.
        if (!replaceFleet)
            RefuseOtherFleet(Path.Combine(etcDirectory, "tls"), authorities, bundle.Node);

        // 3. The files.
        SignedRoster? roster = bundle.Roster is { } text ? SignedRoster.ParseOwn(text, authorities, bundlePath) : null;
        return Install(new NodeFiles(bundle.Node, roster?.Authorities ?? authorities, bundle.Brain, bundle.Agent, bundle.Peers, roster), etcDirectory, group);
    }

    /// <summary>Why this host may not become that node of that fleet, as an exception; nothing if it may.</summary>
    /// <exception cref="FleetSetupException">it belongs to another fleet or is another node</exception>
    public static void RefuseOtherFleet(string tls, FleetAuthorities authorities, string node)
    {
        if (TryRead(Path.Combine(tls, TlsFiles.Authority), FleetAuthorities.FromFile) is { } present && !present.Fingerprints.Any(authorities.Has))
        {
            throw new FleetSetupException(
                $"this host belongs to another fleet (authority {present.Fingerprints[0]}), or its fleet's authority was replaced while it was away; --replace makes it a node of the one with authority {authorities.Fingerprints[0]}");
        }

        using X509Certificate2? certificate = TryRead(Path.Combine(tls, TlsFiles.Certificate(FleetRole.Agent)), X509CertificateLoader.LoadCertificateFromFile);
        if (certificate is not null && PeerIdentity.From(certificate) is { } identity && identity.Node != node)
            throw new FleetSetupException($"this host is {identity.Node} and would become {node}; --replace renames it");
    }

    /// <summary>Null if there is nothing, or no certificate: nothing to protect, joining repairs it.</summary>
    private static T? TryRead<T>(string path, Func<string, T> read)
        where T : class
    {
        try
        {
            return File.Exists(path) ? read(path) : null;
        }
        catch (Exception e) when (e is CryptographicException or FleetSetupException)
        {
            return null;
        }
    }

    /// <summary>Writes all that makes this host a node. All files are written whole beside their places, then get their names; agent.crt last: the units start only if it exists.</summary>
    /// <exception cref="FleetSetupException">a file cannot be written; the services stay as they were then</exception>
    public static FleetJoinResult Install(NodeFiles node, string etcDirectory, uint? group)
    {
        string tls = Path.Combine(etcDirectory, "tls");
        string dropIns = Path.Combine(etcDirectory, "evacuator.conf.d");
        List<string> files = [];
        List<AtomicFile> prepared = [];
        try
        {
            const UnixFileMode Folder = AllRead | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
            Directory.CreateDirectory(etcDirectory, Folder);
            Directory.CreateDirectory(tls, Folder);
            Directory.CreateDirectory(dropIns, Folder);
            string rosterPath = Path.Combine(etcDirectory, SignedRoster.FileName);
            SignedRoster? roster = Newer(rosterPath, node.Authorities, node.Roster);
            Prepare(Path.Combine(tls, TlsFiles.Authority), (roster?.Authorities ?? node.Authorities).Pem, AllRead);
            Prepare(Path.Combine(tls, TlsFiles.Key(FleetRole.Brain)), node.Brain.KeyPem, GroupReads, group);
            Prepare(Path.Combine(tls, TlsFiles.Certificate(FleetRole.Brain)), node.Brain.CertificatePem, AllRead);
            Prepare(Path.Combine(tls, TlsFiles.Key(FleetRole.Agent)), node.Agent.KeyPem, Private);
            Prepare(Path.Combine(etcDirectory, PeersList), PeersFile.Format(roster?.Roster.Nodes ?? node.Peers), AllRead);
            Prepare(Path.Combine(dropIns, DropIn), $"# Written by \"evacuator fleet join\".\n[node]\nname = {node.Name}\n", AllRead);
            if (roster is not null)
                Prepare(rosterPath, roster.Text, AllRead);
            Prepare(Path.Combine(tls, TlsFiles.Certificate(FleetRole.Agent)), node.Agent.CertificatePem, AllRead);
            foreach (AtomicFile file in prepared)
                file.Commit();
            // Of another fleet: its signature would be taken for a forgery.
            if (roster is null)
                File.Delete(rosterPath);
            return new FleetJoinResult(node.Name, node.Authorities.Fingerprints[0], roster?.Roster.Nodes ?? node.Peers, files);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FleetSetupException(e.Message, e) { NotAllowed = e is UnauthorizedAccessException };
        }
        finally
        {
            foreach (AtomicFile file in prepared)
                file.Dispose();
        }

        void Prepare(string path, string text, UnixFileMode mode, uint? gid = null)
        {
            prepared.Add(AtomicFile.Prepare(path, text, mode, gid: gid));
            files.Add(path);
        }
    }

    /// <summary>Takes what <see cref="Install"/> has written away: this host is no node any more. The services have to be stopped besides.</summary>
    /// <exception cref="FleetSetupException">a file cannot be removed</exception>
    public static void Uninstall(string etcDirectory)
    {
        string tls = Path.Combine(etcDirectory, "tls");
        try
        {
            // agent.crt first: without it the units do not start.
            foreach (string path in new[]
                     {
                         Path.Combine(tls, TlsFiles.Certificate(FleetRole.Agent)), Path.Combine(tls, TlsFiles.Key(FleetRole.Agent)), Path.Combine(tls, TlsFiles.Key(FleetRole.Brain)),
                         Path.Combine(tls, TlsFiles.Certificate(FleetRole.Brain)), Path.Combine(tls, TlsFiles.Authority), Path.Combine(etcDirectory, SignedRoster.FileName),
                         Path.Combine(etcDirectory, PeersList), Path.Combine(etcDirectory, "evacuator.conf.d", DropIn),
                     })
            {
                if (File.Exists(path))
                    File.Delete(path);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FleetSetupException(e.Message, e) { NotAllowed = e is UnauthorizedAccessException };
        }
    }

    /// <summary>Of two lists of one fleet the later: a bundle may be older than what this node has heard since, such as a revocation.</summary>
    private static SignedRoster? Newer(string path, FleetAuthorities authorities, SignedRoster? offered)
    {
        try
        {
            return File.Exists(path) && SignedRoster.Parse(File.ReadAllText(path), authorities, path) is var present && offered is not null && present.Roster.Number > offered.Roster.Number
                ? present
                : offered;
        }
        catch (FleetSetupException)
        {
            return offered; // of another fleet, or damaged: joining repairs it
        }
    }

    private static IssuedCertificate Issue(AuthorityDirectory directory, PeerIdentity identity)
    {
        NodeRequest request = NodeRequest.Make(identity);
        return new IssuedCertificate(directory.Sign(identity, request.RequestPem, FleetAuthority.NodeLifetime), request.KeyPem);
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

    private void Verify(string path, JoinBundle bundle)
    {
        if (!NodeName.IsValid(bundle.Node))
            throw new FleetSetupException($"{path}: \"{bundle.Node}\" is not a node's name");
        Checked<IReadOnlyList<Peer>> peers = PeersFile.Interpret(IniFile.Parse(path, PeersFile.Format(bundle.Peers)));
        if (peers.Value is null || !peers.Value.SequenceEqual(bundle.Peers))
            throw new FleetSetupException($"{path}: its list of nodes is not sound: {peers.Mistakes.FirstOrDefault()?.Text ?? "names or addresses with forbidden characters"}");
        if (!bundle.Peers.Any(peer => peer.Name == bundle.Node))
            throw new FleetSetupException($"{path}: its list of nodes does not name {bundle.Node}");
        Verify(path, bundle.Node, FleetAuthorities.FromPem(bundle.Authority, path), bundle.Brain, bundle.Agent, time);
    }

    /// <summary>Whether these are this node's certificates, from this authority, with their keys, and valid by this host's clock.</summary>
    /// <param name="source">where they come from, for the message</param>
    /// <exception cref="FleetSetupException">they are not</exception>
    public static void Verify(string source, string node, FleetAuthorities authorities, IssuedCertificate brain, IssuedCertificate agent, TimeProvider time)
    {
        try
        {
            foreach ((IssuedCertificate issued, FleetRole role) in new[] { (brain, FleetRole.Brain), (agent, FleetRole.Agent) })
            {
                using X509Certificate2 certificate = X509Certificate2.CreateFromPem(issued.CertificatePem, issued.KeyPem);
                if (authorities.WhyNot(certificate, time.GetUtcNow()) is { } reason)
                    throw new FleetSetupException($"{source}: the certificate of {node}/{PeerIdentity.Word(role)} {reason}");
                if (PeerIdentity.From(certificate) != new PeerIdentity(node, role))
                    throw new FleetSetupException($"{source}: a certificate is not for {node}/{PeerIdentity.Word(role)}");
            }
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new FleetSetupException($"{source}: a certificate or key in it is damaged: {e.Message}", e);
        }
    }
}
