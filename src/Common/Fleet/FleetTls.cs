using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Configuration;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace Evacuator.Common.Fleet;

/// <summary>
/// Connections between nodes: TLS 1.3, both sides show a certificate of the fleet's own authority, nothing else is trusted and nothing is downloaded.
/// A brain speaks only with brains, an agent only with agents, and only with nodes that are in the fleet. Who is in it, whom it trusts, and this node's own certificate, can
/// be replaced while connections stand (<see cref="Accept"/>, <see cref="Reload"/>): each handshake takes what holds then.
/// </summary>
/// <remarks>Owns the certificates; keep it as long as any connection is made with it.</remarks>
public sealed class FleetTls : IDisposable
{
    private readonly EvacuatorOptions _options;
    private readonly FleetFiles _files;
    // Peers that were called and showed a certificate of an authority that is not known here, when.
    private readonly ConcurrentDictionary<string, DateTimeOffset> _strangers = new();
    private readonly FleetConnections _connections = new();
    private readonly Lock _changing = new();
    // Handshakes under way may still use an earlier certificate: all are kept until the end. One a year.
    private readonly List<X509Certificate2> _all = [];
    private readonly TimeProvider _time;
    private volatile Own _own;
    private volatile Members _members;
    // Of ca.crt and fleet.json when they were looked at last.
    private (string Authorities, DateTime List) _seen;

    private FleetTls(EvacuatorOptions options, FleetFiles files, string authorityText, PairRead pair, PeerIdentity identity, Members members, TimeProvider time)
    {
        (_options, _files, _seen, Identity, _members, _time) = (options, files, (authorityText, ListStamp(options)), identity, members, time);
        _own = Take(pair);
    }

    /// <summary>Who we are to the others.</summary>
    public PeerIdentity Identity { get; }

    /// <summary>When our own certificate stops to be accepted.</summary>
    public DateTimeOffset ExpiresAt => new(_own.Certificate.NotAfter.ToUniversalTime());

    /// <summary>Whose certificates are accepted.</summary>
    public FleetAuthorities Authorities => _members.Authorities;

    /// <summary>Fingerprint of the authority that has issued our own certificate; empty if that is not known.</summary>
    public string IssuedBy => IssuerOf(_own.Certificate, _members);

    /// <summary>How many connections stand that began with a certificate of another authority than the newest.</summary>
    public int OldConnections => _connections.CountOf(shown => shown.Authority != Authorities.Fingerprints[0]);

    /// <summary>Peers that were called last and showed a certificate of an authority that is not known here: whose then is the mistake, theirs or ours?</summary>
    public IReadOnlyCollection<string> Strangers => [.. _strangers.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Our own certificate, with its key; not to be disposed by the caller.</summary>
    public X509Certificate2 Certificate => _own.Certificate;

    /// <summary>The signed list that holds; null in a fleet whose list was never signed.</summary>
    public SignedRoster? Roster => _members.Roster;

    /// <summary>Why this node itself can do nothing in the fleet any more; null as long as it can.</summary>
    public string? WhyOut => WhyNot(new ShownCertificate(Identity, _own.Certificate.NotBefore.ToUniversalTime(), IssuedBy), _members, Identity.Node);

    /// <summary>Reads ca.crt, ROLE.crt and ROLE.key and checks that they belong together, to this node, and are valid now.</summary>
    public static Checked<FleetTls> Load(EvacuatorOptions options, FleetRole role, IReadOnlyList<Peer> peers, TimeProvider time, SignedRoster? roster = null)
    {
        List<ConfigurationMistake> mistakes = [];
        FleetFiles files = new(options.Fleet.TlsDirectory, role);
        string? authorityPem = TlsFiles.Read(files.Authority, secret: false, mistakes);
        PairRead? pair = files.ReadPair(mistakes);
        PeerIdentity identity = new(options.Node.Name, role);
        if ((roster is null ? peers : roster.Roster.Nodes).All(peer => peer.Name != identity.Node))
        {
            mistakes.Add(roster?.Roster.Find(identity.Node) is { } revoked
                ? new(FleetMembers.RosterPath(options), 0, $"{identity.Node} was taken out of the fleet on {revoked.At:u}: to bring it back, join with a new token")
                : new(roster is null ? options.Fleet.PeersFile : FleetMembers.RosterPath(options), 0, $"does not name this node, \"{identity.Node}\""));
        }

        try
        {
            if (mistakes.Count > 0)
                return new Checked<FleetTls>(mistakes);
            Members members = roster is null ? new Members(peers, null, FleetAuthorities.FromPem(authorityPem!, files.Authority)) : new Members(roster.Roster.Nodes, roster, roster.Authorities);
            if (WhyUnusable(pair!.Certificate, members, identity, time.GetUtcNow()) is { } reason)
                mistakes.Add(new(files.Certificate, 0, reason));
            else if (WhyNot(new ShownCertificate(identity, pair.Certificate.NotBefore.ToUniversalTime(), IssuerOf(pair.Certificate, members)), members, identity.Node) is { } why)
                mistakes.Add(new(files.Certificate, 0, $"{why}: join the fleet again"));
            if (mistakes.Count > 0)
                return new Checked<FleetTls>(mistakes);

            FleetTls tls = new(options, files, authorityPem!, pair, identity, members, time);
            pair = null;
            return new Checked<FleetTls>(tls);
        }
        catch (FleetSetupException e)
        {
            mistakes.Add(new(files.Authority, 0, e.Message.Replace($"{files.Authority}: ", "", StringComparison.Ordinal)));
            return new Checked<FleetTls>(mistakes);
        }
        finally
        {
            pair?.Certificate.Dispose();
        }
    }

    /// <summary>Takes a newer list of the fleet: from now on it decides, and what stands with a node that is out of it is cut.</summary>
    /// <returns>false if what holds already is as new</returns>
    public bool Accept(SignedRoster roster)
    {
        lock (_changing)
        {
            if (_members.Roster is { } present && present.Roster.Number >= roster.Roster.Number)
                return false;
            _members = new Members(roster.Roster.Nodes, roster, roster.Authorities);
        }

        _strangers.Clear();
        _connections.Recheck(WhyNot);
        return true;
    }

    /// <summary>
    /// Takes the certificate that is in the files now, if it is another one. What stands goes on with the earlier. Before it, where they have changed, ca.crt and the list: root's
    /// word, which brings in an authority for which no earlier one can vouch.
    /// </summary>
    /// <returns>whether the certificate was replaced; or what is wrong with the files, and then the earlier ones stay</returns>
    public (bool Replaced, IReadOnlyList<ConfigurationMistake> Mistakes) Reload()
    {
        List<ConfigurationMistake> mistakes = [];
        if (!ReloadList(mistakes))
            return (false, mistakes);
        if (_files.ReadPair(mistakes) is not { } pair)
            return (false, mistakes);
        lock (_changing)
        {
            if (pair.Certificate.RawDataMemory.Span.SequenceEqual(_own.Certificate.RawDataMemory.Span))
            {
                pair.Certificate.Dispose();
                return (false, []);
            }

            if (WhyUnusable(pair.Certificate, _members, Identity, _time.GetUtcNow()) is { } reason)
            {
                pair.Certificate.Dispose();
                return (false, [new(_files.Certificate, 0, reason)]);
            }

            _own = Take(pair);
            return (true, []);
        }
    }

    /// <summary>For a listener: accepts any node of the fleet in our own role.</summary>
    public SslServerAuthenticationOptions ForServer() => new()
    {
        ServerCertificateContext = _own.Context,
        ClientCertificateRequired = true,
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowTlsResume = false, // Every connection shows its certificate anew.
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        CertificateChainPolicy = Authorities.Policy(_time.GetUtcNow()),
        RemoteCertificateValidationCallback = (_, certificate, _, _) => Check(certificate, node: null),
    };

    /// <summary>For a connection to that node, which must answer in our own role.</summary>
    public SslClientAuthenticationOptions ForClient(string node) => new()
    {
        TargetHost = node,
        // Not the context: these options live as long as their handler, and a certificate may be replaced in that time.
        LocalCertificateSelectionCallback = (_, _, _, _, _) => _own.Certificate,
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowTlsResume = false, // Every connection shows its certificate anew.
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        CertificateChainPolicy = Authorities.Policy(_time.GetUtcNow()),
        RemoteCertificateValidationCallback = (_, certificate, _, _) => Check(certificate, node),
    };

    /// <summary>A handler for HttpClient towards one node; no proxy, no redirects, no cookies. Its connections are cut when the node is revoked.</summary>
    public SocketsHttpHandler HttpHandlerFor(string node) => new()
    {
        SslOptions = ForClient(node),
        UseProxy = false,
        UseCookies = false,
        AllowAutoRedirect = false,
        ConnectTimeout = TimeSpan.FromSeconds(5),
        PlaintextStreamFilter = (context, _) =>
        {
            if (context.PlaintextStream is SslStream { RemoteCertificate: { } shown } stream)
            {
                using X509Certificate2 certificate = X509CertificateLoader.LoadCertificate(shown.GetRawCertData());
                ShownCertificate what = Shown(certificate, new PeerIdentity(node, Identity.Role));
                _connections.Add(what, stream);
                // Revoked between the handshake and this line: nobody else would cut it.
                if (WhyNot(what) is { } reason)
                    throw new AuthenticationException(reason);
            }

            return ValueTask.FromResult(context.PlaintextStream);
        },
    };

    /// <summary>Kestrel's listener with these rules.</summary>
    public void UseOn(ListenOptions listen)
    {
        listen.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(ForServer()) });
        listen.Use(next => connection => WatchedAsync(connection, next));
    }

    /// <summary>
    /// Kestrel's listener with this node's certificate for whoever comes: a management controller that posts events has no certificate of the fleet, and old ones speak TLS 1.2.
    /// </summary>
    public void UseWithoutClientCertificateOn(ListenOptions listen) => listen.UseHttps(new TlsHandshakeCallbackOptions
    {
        OnConnection = _ => ValueTask.FromResult(new SslServerAuthenticationOptions
        {
            ServerCertificateContext = _own.Context,
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        }),
    });

    /// <summary>Who made this request: certain, because the handshake has checked it.</summary>
    public static PeerIdentity IdentityOf(HttpContext context) =>
        (context.Connection.ClientCertificate is { } certificate ? PeerIdentity.From(certificate) : null)
        ?? throw new AuthenticationException("the connection has no peer certificate: it did not come through the fleet's listener");

    /// <summary>Why this certificate is not accepted from <paramref name="node"/> (null: from any of the fleet); null if it is.</summary>
    public string? WhyNot(X509Certificate? certificate, string? node)
    {
        if (certificate is null)
            return "the other side showed no certificate";
        using X509Certificate2 copy = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
        Members members = _members;
        if (members.Authorities.WhyNot(copy, _time.GetUtcNow()) is { } reason)
        {
            if (node is not null && PeerIdentity.From(copy)?.Node == node)
                _strangers[node] = _time.GetUtcNow();
            return $"the certificate of \"{copy.GetNameInfo(X509NameType.SimpleName, forIssuer: false)}\" {reason}{Retired(copy, members)}";
        }

        if (PeerIdentity.From(copy) is not { } identity)
            return "the certificate names no node of the fleet";
        if (identity.Role != Identity.Role)
            return $"{identity} has the wrong role: only {PeerIdentity.Word(Identity.Role)}s may talk here";
        if (WhyNot(Shown(copy, identity)) is { } outside)
            return outside;
        if (node is not null)
            _strangers.TryRemove(node, out _);
        return node is not null && identity.Node != node ? $"expected {node}, but {identity.Node} answered" : null;
    }

    public void Dispose()
    {
        foreach (X509Certificate2 certificate in _all)
            certificate.Dispose();
    }

    private async Task WatchedAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        if (connection.Features.Get<ITlsConnectionFeature>()?.ClientCertificate is not { } certificate || PeerIdentity.From(certificate) is not { } identity)
        {
            connection.Abort(new ConnectionAbortedException("no certificate of the fleet"));
            return;
        }

        ShownCertificate shown = Shown(certificate, identity);
        using (_connections.Add(shown, reason => connection.Abort(new ConnectionAbortedException(reason))))
        {
            // Revoked between the handshake and this line: nobody else would cut it.
            if (WhyNot(shown) is { } reason)
                connection.Abort(new ConnectionAbortedException(reason));
            else
                await next(connection).ConfigureAwait(false);
        }
    }

    private Own Take(PairRead pair)
    {
        _all.Add(pair.Certificate);
        return new Own(pair.Certificate, SslStreamCertificateContext.Create(pair.Certificate, additionalCertificates: null, offline: true));
    }

    /// <returns>false with the mistakes: the files do not fit together, or not yet</returns>
    private bool ReloadList(List<ConfigurationMistake> mistakes)
    {
        if (TlsFiles.Read(_files.Authority, secret: false, mistakes) is not { } text)
            return false;
        (string, DateTime) found = (text, ListStamp(_options));
        if (found == _seen)
            return true;
        Checked<FleetMembers> members = FleetMembers.Load(_options);
        if (members.Value is null)
        {
            mistakes.AddRange(members.Mistakes);
            return false;
        }

        if (members.Value.Roster is { } roster)
            Accept(roster);
        _seen = found;
        return true;
    }

    private static DateTime ListStamp(EvacuatorOptions options) => File.GetLastWriteTimeUtc(FleetMembers.RosterPath(options));

    private ShownCertificate Shown(X509Certificate2 certificate, PeerIdentity identity) =>
        new(identity, certificate.NotBefore.ToUniversalTime(), IssuerOf(certificate, _members));

    private string? WhyNot(ShownCertificate shown) => WhyNot(shown, _members, Identity.Node);

    private static string? WhyNot(ShownCertificate shown, Members members, string self)
    {
        (PeerIdentity identity, DateTimeOffset notBefore, string authority) = shown;
        if (!members.Authorities.Has(authority))
        {
            return members.Roster?.Roster.Retired.FirstOrDefault(retired => retired.Fingerprint == authority) is { } known
                ? $"the authority that {identity.Node} has its certificate from was retired at {known.At:u}"
                : $"{identity.Node} has its certificate from an authority that the fleet does not trust any more";
        }

        if (members.Roster?.Roster.Find(identity.Node) is { } revoked && notBefore < revoked.Before)
            return $"the certificates that {identity.Node} had until {revoked.At:u} were revoked then";
        if (members.Nodes.Contains(identity.Node))
            return null;
        return members.Roster is { } roster
            ? $"{identity.Node} is not in the fleet (list {roster.Roster.Number} of {roster.Roster.Made:u})"
            : $"{identity.Node} is not in the peers file of {self}";
    }

    /// <summary>What is wrong with our own certificate; null if it can be used.</summary>
    private static string? WhyUnusable(X509Certificate2 own, Members members, PeerIdentity identity, DateTimeOffset now)
    {
        if (members.Authorities.WhyNot(own, now) is { } reason)
            return $"{reason}{Retired(own, members)}: join the fleet again";
        return PeerIdentity.From(own) is var stated && stated != identity
            ? $"speaks for {stated?.ToString() ?? "nobody"}, this is {identity}: set [node] name or join the fleet again"
            : null;
    }

    /// <summary>Said beside "not from this fleet's authority", where it once was.</summary>
    private static string Retired(X509Certificate2 certificate, Members members) => RetiredIssuerOf(certificate, members) is { } retired ? $" (it is from the one that was retired at {retired.At:u})" : "";

    /// <summary>The fingerprint, trusted still or not; empty if it is not known.</summary>
    private static string IssuerOf(X509Certificate2 certificate, Members members) =>
        members.Authorities.IssuerOf(certificate) is { Length: > 0 } trusted ? trusted : RetiredIssuerOf(certificate, members)?.Fingerprint ?? "";

    private static RetiredAuthority? RetiredIssuerOf(X509Certificate2 certificate, Members members) =>
        members.Roster?.Roster.Retired.LastOrDefault(retired => FleetAuthorities.FromPem(retired.Certificate, "the list").IssuerOf(certificate).Length > 0);

    /// <summary>Thrown, not returned, so that the reason reaches whoever made the connection or logs its failure.</summary>
    private bool Check(X509Certificate? certificate, string? node) =>
        WhyNot(certificate, node) is { } reason ? throw new AuthenticationException(reason) : true;

    private sealed record Own(X509Certificate2 Certificate, SslStreamCertificateContext Context);

    private sealed class Members(IReadOnlyList<Peer> nodes, SignedRoster? roster, FleetAuthorities authorities)
    {
        public FrozenSet<string> Nodes { get; } = nodes.Select(peer => peer.Name).ToFrozenSet(StringComparer.Ordinal);

        public SignedRoster? Roster { get; } = roster;

        public FleetAuthorities Authorities { get; } = authorities;
    }
}
