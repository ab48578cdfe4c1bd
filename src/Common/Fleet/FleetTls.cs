using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Configuration;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace Evacuator.Common.Fleet;

/// <summary>
/// Connections between nodes: TLS 1.3, both sides show a certificate of the fleet's own authority, nothing else is trusted and nothing is downloaded.
/// A brain speaks only with brains, an agent only with agents, and only with nodes that the peers file names. Read once at start.
/// </summary>
/// <remarks>Owns the certificates; keep it as long as any connection is made with it.</remarks>
public sealed class FleetTls : IDisposable
{
    private readonly X509Certificate2 _authority;
    private readonly X509Certificate2 _own;
    private readonly SslStreamCertificateContext _context;
    private readonly HashSet<string> _nodes;
    private readonly TimeProvider _time;

    private FleetTls(X509Certificate2 authority, X509Certificate2 own, PeerIdentity identity, IEnumerable<Peer> peers, TimeProvider time)
    {
        (_authority, _own, Identity, _time) = (authority, own, identity, time);
        _context = SslStreamCertificateContext.Create(own, additionalCertificates: null, offline: true);
        _nodes = [.. peers.Select(peer => peer.Name)];
    }

    /// <summary>Who we are to the others.</summary>
    public PeerIdentity Identity { get; }

    /// <summary>When our own certificate stops to be accepted.</summary>
    public DateTimeOffset ExpiresAt => new(_own.NotAfter.ToUniversalTime());

    /// <summary>Reads ca.crt, ROLE.crt and ROLE.key and checks that they belong together, to this node, and are valid now.</summary>
    public static Checked<FleetTls> Load(EvacuatorOptions options, FleetRole role, IReadOnlyList<Peer> peers, TimeProvider time)
    {
        List<ConfigurationMistake> mistakes = [];
        string directory = options.Fleet.TlsDirectory;
        string authorityPath = Path.Combine(directory, TlsFiles.Authority);
        string certificatePath = Path.Combine(directory, TlsFiles.Certificate(role));
        string keyPath = Path.Combine(directory, TlsFiles.Key(role));
        string? authorityPem = TlsFiles.Read(authorityPath, secret: false, mistakes);
        string? certificatePem = TlsFiles.Read(certificatePath, secret: false, mistakes);
        string? keyPem = TlsFiles.Read(keyPath, secret: true, mistakes);
        if (!peers.Any(peer => peer.Name == options.Node.Name))
            mistakes.Add(new(options.Fleet.PeersFile, 0, $"does not name this node, \"{options.Node.Name}\""));
        if (mistakes.Count > 0)
            return new Checked<FleetTls>(mistakes);

        X509Certificate2? authority = null;
        X509Certificate2? own = null;
        try
        {
            string path = authorityPath;
            try
            {
                authority = X509Certificate2.CreateFromPem(authorityPem);
                path = certificatePath;
                using (X509Certificate2 alone = X509Certificate2.CreateFromPem(certificatePem))
                    path = keyPath;
                own = X509Certificate2.CreateFromPem(certificatePem, keyPem);
            }
            catch (Exception e) when (e is CryptographicException or ArgumentException)
            {
                mistakes.Add(new(path, 0, path == keyPath ? $"is not the key of {certificatePath}: join the fleet again" : $"is not a certificate in PEM: {e.Message}"));
                return new Checked<FleetTls>(mistakes);
            }

            PeerIdentity identity = new(options.Node.Name, role);
            if (FleetTrust.WhyNot(own, authority, time.GetUtcNow()) is { } reason)
                mistakes.Add(new(certificatePath, 0, $"{reason}: join the fleet again"));
            else if (PeerIdentity.From(own) is var stated && stated != identity)
                mistakes.Add(new(certificatePath, 0, $"speaks for {stated?.ToString() ?? "nobody"}, this is {identity}: set [node] name or join the fleet again"));
            if (mistakes.Count > 0)
                return new Checked<FleetTls>(mistakes);

            FleetTls tls = new(authority, own, identity, peers, time);
            (authority, own) = (null, null);
            return new Checked<FleetTls>(tls);
        }
        finally
        {
            authority?.Dispose();
            own?.Dispose();
        }
    }

    /// <summary>For a listener: accepts any node of the fleet in our own role.</summary>
    public SslServerAuthenticationOptions ForServer() => new()
    {
        ServerCertificateContext = _context,
        ClientCertificateRequired = true,
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowTlsResume = false, // Every connection shows its certificate anew.
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        CertificateChainPolicy = FleetTrust.Policy(_authority, _time.GetUtcNow()),
        RemoteCertificateValidationCallback = (_, certificate, _, _) => Accept(certificate, node: null),
    };

    /// <summary>For a connection to that node, which must answer in our own role.</summary>
    public SslClientAuthenticationOptions ForClient(string node) => new()
    {
        TargetHost = node,
        ClientCertificateContext = _context,
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowTlsResume = false, // Every connection shows its certificate anew.
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        CertificateChainPolicy = FleetTrust.Policy(_authority, _time.GetUtcNow()),
        RemoteCertificateValidationCallback = (_, certificate, _, _) => Accept(certificate, node),
    };

    /// <summary>A handler for HttpClient towards one node; no proxy, no redirects, no cookies.</summary>
    public SocketsHttpHandler HttpHandlerFor(string node) => new()
    {
        SslOptions = ForClient(node),
        UseProxy = false,
        UseCookies = false,
        AllowAutoRedirect = false,
        ConnectTimeout = TimeSpan.FromSeconds(5),
    };

    /// <summary>Kestrel's listener with these rules.</summary>
    public void UseOn(ListenOptions listen) => listen.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(ForServer()) });

    /// <summary>
    /// Kestrel's listener with this node's certificate for whoever comes: a management controller that posts events has no certificate of the fleet, and old ones speak TLS 1.2.
    /// </summary>
    public void UseWithoutClientCertificateOn(ListenOptions listen) => listen.UseHttps(new TlsHandshakeCallbackOptions
    {
        OnConnection = _ => ValueTask.FromResult(new SslServerAuthenticationOptions
        {
            ServerCertificateContext = _context,
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
        if (!_nodes.Contains(identity.Node))
            return $"{identity.Node} is not in the peers file of {Identity.Node}";
        return node is not null && identity.Node != node ? $"expected {node}, but {identity.Node} answered" : null;
    }

    public void Dispose()
    {
        _own.Dispose();
        _authority.Dispose();
    }

    /// <summary>Thrown, not returned, so that the reason reaches whoever made the connection or logs its failure.</summary>
    private bool Accept(X509Certificate? certificate, string? node) =>
        WhyNot(certificate, node) is { } reason ? throw new AuthenticationException(reason) : true;
}
