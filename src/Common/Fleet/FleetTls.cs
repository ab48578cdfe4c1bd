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
/// A brain speaks only with brains, an agent only with agents, and only with nodes that are in the fleet. Who is in it, and this node's own certificate, can
/// be replaced while connections stand (<see cref="Accept"/>, <see cref="Reload"/>): each handshake takes what holds then.
/// </summary>
/// <remarks>Owns the certificates; keep it as long as any connection is made with it.</remarks>
public sealed class FleetTls : IDisposable
{
    private readonly X509Certificate2 _authority;
    private readonly FleetFiles _files;
    private readonly FleetConnections _connections = new();
    private readonly Lock _changing = new();
    // Handshakes under way may still use an earlier certificate: all are kept until the end. One a year.
    private readonly List<X509Certificate2> _all = [];
    private readonly TimeProvider _time;
    private volatile Own _own;
    private volatile Members _members;

    private FleetTls(X509Certificate2 authority, FleetFiles files, PairRead pair, PeerIdentity identity, Members members, TimeProvider time)
    {
        (_authority, _files, Identity, _members, _time) = (authority, files, identity, members, time);
        _own = Take(pair);
    }

    /// <summary>Who we are to the others.</summary>
    public PeerIdentity Identity { get; }

    /// <summary>When our own certificate stops to be accepted.</summary>
    public DateTimeOffset ExpiresAt => new(_own.Certificate.NotAfter.ToUniversalTime());

    /// <summary>The fleet's authority, without its key.</summary>
    public X509Certificate2 Authority => _authority;

    /// <summary>Our own certificate, with its key; not to be disposed by the caller.</summary>
    public X509Certificate2 Certificate => _own.Certificate;

    /// <summary>The signed list that holds; null in a fleet whose list was never signed.</summary>
    public SignedRoster? Roster => _members.Roster;

    /// <summary>Why this node itself can do nothing in the fleet any more; null as long as it can.</summary>
    public string? WhyOut => WhyNot(Identity, _own.Certificate.NotBefore.ToUniversalTime(), _members, Identity.Node);

    /// <summary>Reads ca.crt, ROLE.crt and ROLE.key and checks that they belong together, to this node, and are valid now.</summary>
    public static Checked<FleetTls> Load(EvacuatorOptions options, FleetRole role, IReadOnlyList<Peer> peers, TimeProvider time, SignedRoster? roster = null)
    {
        List<ConfigurationMistake> mistakes = [];
        FleetFiles files = new(options.Fleet.TlsDirectory, role);
        string? authorityPem = TlsFiles.Read(files.Authority, secret: false, mistakes);
        PairRead? pair = files.ReadPair(mistakes);
        PeerIdentity identity = new(options.Node.Name, role);
        Members members = new(roster is null ? peers : roster.Roster.Nodes, roster);
        if (!members.Nodes.Contains(identity.Node))
        {
            mistakes.Add(roster?.Roster.Find(identity.Node) is { } revoked
                ? new(FleetMembers.RosterPath(options), 0, $"{identity.Node} was taken out of the fleet on {revoked.At:u}: to bring it back, join with a new token")
                : new(roster is null ? options.Fleet.PeersFile : FleetMembers.RosterPath(options), 0, $"does not name this node, \"{identity.Node}\""));
        }

        X509Certificate2? authority = null;
        try
        {
            if (mistakes.Count > 0)
                return new Checked<FleetTls>(mistakes);
            try
            {
                authority = X509Certificate2.CreateFromPem(authorityPem);
            }
            catch (Exception e) when (e is CryptographicException or ArgumentException)
            {
                mistakes.Add(new(files.Authority, 0, $"is not a certificate in PEM: {e.Message}"));
                return new Checked<FleetTls>(mistakes);
            }

            if (WhyUnusable(pair!.Certificate, authority, identity, time.GetUtcNow()) is { } reason)
                mistakes.Add(new(files.Certificate, 0, reason));
            else if (WhyNot(identity, pair.Certificate.NotBefore.ToUniversalTime(), members, identity.Node) is { } why)
                mistakes.Add(new(files.Certificate, 0, $"{why}: join the fleet again"));
            if (mistakes.Count > 0)
                return new Checked<FleetTls>(mistakes);

            FleetTls tls = new(authority, files, pair, identity, members, time);
            (authority, pair) = (null, null);
            return new Checked<FleetTls>(tls);
        }
        finally
        {
            authority?.Dispose();
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
            _members = new Members(roster.Roster.Nodes, roster);
        }

        _connections.Recheck(WhyNot);
        return true;
    }

    /// <summary>Takes the certificate that is in the files now, if it is another one. What stands goes on with the earlier.</summary>
    /// <returns>whether it was replaced; or what is wrong with the files, and then the earlier one stays</returns>
    public (bool Replaced, IReadOnlyList<ConfigurationMistake> Mistakes) Reload()
    {
        List<ConfigurationMistake> mistakes = [];
        if (_files.ReadPair(mistakes) is not { } pair)
            return (false, mistakes);
        lock (_changing)
        {
            if (pair.Certificate.RawDataMemory.Span.SequenceEqual(_own.Certificate.RawDataMemory.Span))
            {
                pair.Certificate.Dispose();
                return (false, []);
            }

            if (WhyUnusable(pair.Certificate, _authority, Identity, _time.GetUtcNow()) is { } reason)
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
        CertificateChainPolicy = FleetTrust.Policy(_authority, _time.GetUtcNow()),
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
        CertificateChainPolicy = FleetTrust.Policy(_authority, _time.GetUtcNow()),
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
                PeerIdentity identity = new(node, Identity.Role);
                DateTimeOffset notBefore = certificate.NotBefore.ToUniversalTime();
                _connections.Add(identity, notBefore, stream);
                // Revoked between the handshake and this line: nobody else would cut it.
                if (WhyNot(identity, notBefore) is { } reason)
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
        if (FleetTrust.WhyNot(copy, _authority, _time.GetUtcNow()) is { } reason)
            return $"the certificate of \"{copy.GetNameInfo(X509NameType.SimpleName, forIssuer: false)}\" {reason}";
        if (PeerIdentity.From(copy) is not { } identity)
            return "the certificate names no node of the fleet";
        if (identity.Role != Identity.Role)
            return $"{identity} has the wrong role: only {PeerIdentity.Word(Identity.Role)}s may talk here";
        if (WhyNot(identity, copy.NotBefore.ToUniversalTime()) is { } outside)
            return outside;
        return node is not null && identity.Node != node ? $"expected {node}, but {identity.Node} answered" : null;
    }

    public void Dispose()
    {
        foreach (X509Certificate2 certificate in _all)
            certificate.Dispose();
        _authority.Dispose();
    }

    private async Task WatchedAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        if (connection.Features.Get<ITlsConnectionFeature>()?.ClientCertificate is not { } certificate || PeerIdentity.From(certificate) is not { } identity)
        {
            connection.Abort(new ConnectionAbortedException("no certificate of the fleet"));
            return;
        }

        DateTimeOffset notBefore = certificate.NotBefore.ToUniversalTime();
        using (_connections.Add(identity, notBefore, reason => connection.Abort(new ConnectionAbortedException(reason))))
        {
            // Revoked between the handshake and this line: nobody else would cut it.
            if (WhyNot(identity, notBefore) is { } reason)
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

    private string? WhyNot(PeerIdentity identity, DateTimeOffset notBefore) => WhyNot(identity, notBefore, _members, Identity.Node);

    private static string? WhyNot(PeerIdentity identity, DateTimeOffset notBefore, Members members, string self)
    {
        if (members.Roster?.Roster.Find(identity.Node) is { } revoked && notBefore < revoked.Before)
            return $"the certificates that {identity.Node} had until {revoked.At:u} were revoked then";
        if (members.Nodes.Contains(identity.Node))
            return null;
        return members.Roster is { } roster
            ? $"{identity.Node} is not in the fleet (list {roster.Roster.Number} of {roster.Roster.Made:u})"
            : $"{identity.Node} is not in the peers file of {self}";
    }

    /// <summary>What is wrong with our own certificate; null if it can be used.</summary>
    private static string? WhyUnusable(X509Certificate2 own, X509Certificate2 authority, PeerIdentity identity, DateTimeOffset now)
    {
        if (FleetTrust.WhyNot(own, authority, now) is { } reason)
            return $"{reason}: join the fleet again";
        return PeerIdentity.From(own) is var stated && stated != identity
            ? $"speaks for {stated?.ToString() ?? "nobody"}, this is {identity}: set [node] name or join the fleet again"
            : null;
    }

    /// <summary>Thrown, not returned, so that the reason reaches whoever made the connection or logs its failure.</summary>
    private bool Check(X509Certificate? certificate, string? node) =>
        WhyNot(certificate, node) is { } reason ? throw new AuthenticationException(reason) : true;

    private sealed record Own(X509Certificate2 Certificate, SslStreamCertificateContext Context);

    private sealed class Members(IReadOnlyList<Peer> nodes, SignedRoster? roster)
    {
        public FrozenSet<string> Nodes { get; } = nodes.Select(peer => peer.Name).ToFrozenSet(StringComparer.Ordinal);

        public SignedRoster? Roster { get; } = roster;
    }
}
