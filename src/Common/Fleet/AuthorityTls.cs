using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Evacuator.Common.Fleet;

/// <summary>
/// Connections to the fleet's authority, TLS 1.3: it shows a certificate with the role "authority"; the caller shows its own if it has one, and who it is
/// then is for the routes to judge.
/// </summary>
public static class AuthorityTls
{
    /// <summary>
    /// For the service. A caller without a certificate wants to join. One whose certificate is not good (any more) is let in as far as that, too: a node that slept through a change
    /// of the authority would hear of a broken connection otherwise, and not what to do. It is nobody: see <see cref="WhyNotCaller"/>.
    /// </summary>
    public static SslServerAuthenticationOptions ForServer(SslStreamCertificateContext own, FleetAuthorities authorities, TimeProvider time) => new()
    {
        ServerCertificateContext = own,
        ClientCertificateRequired = true,
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowTlsResume = false,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        CertificateChainPolicy = authorities.Policy(time.GetUtcNow()),
        RemoteCertificateValidationCallback = (_, _, _, _) => true,
    };

    /// <summary>Why a caller of the service is nobody in the fleet; null if its certificate is good. Whether its node is in the list is another matter.</summary>
    public static string? WhyNotCaller(X509Certificate2 certificate, FleetAuthorities authorities, DateTimeOffset now) => authorities.WhyNot(certificate, now);

    /// <summary>For a node that knows the authority's certificate.</summary>
    /// <param name="own">null: it has none so far</param>
    public static SslClientAuthenticationOptions ForClient(string host, FleetAuthorities authorities, X509Certificate2? own, TimeProvider time) => new()
    {
        TargetHost = host,
        LocalCertificateSelectionCallback = own is null ? null : (_, _, _, _, _) => own,
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowTlsResume = false,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        CertificateChainPolicy = authorities.Policy(time.GetUtcNow()),
        RemoteCertificateValidationCallback = (_, certificate, _, _) =>
            WhyNotAuthority(certificate, authorities, time.GetUtcNow()) is { } reason ? throw new AuthenticationException(reason) : true,
    };

    /// <summary>
    /// For the first question of a node that has nothing but a fingerprint: it asks for the authority's certificate, sends nothing, and believes the answer only if the
    /// fingerprint fits.
    /// </summary>
    public static SslClientAuthenticationOptions ForStranger(string host) => new()
    {
        TargetHost = host,
        EnabledSslProtocols = SslProtocols.Tls13,
        RemoteCertificateValidationCallback = (_, _, _, _) => true,
    };

    private static string? WhyNotAuthority(X509Certificate? certificate, FleetAuthorities authorities, DateTimeOffset now)
    {
        if (certificate is null)
            return "the other side showed no certificate";
        using X509Certificate2 copy = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
        if (authorities.WhyNot(copy, now) is { } reason)
            return $"the certificate of \"{copy.GetNameInfo(X509NameType.SimpleName, forIssuer: false)}\" {reason}";
        return PeerIdentity.From(copy) is { Role: FleetRole.Authority } ? null : "this is a service of the fleet, but not its authority: that is another port or host";
    }
}
