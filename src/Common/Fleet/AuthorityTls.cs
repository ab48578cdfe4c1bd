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
    /// <summary>For the service. A caller without a certificate wants to join; one with a certificate that is not the fleet's is no caller.</summary>
    public static SslServerAuthenticationOptions ForServer(SslStreamCertificateContext own, X509Certificate2 authority, TimeProvider time) => new()
    {
        ServerCertificateContext = own,
        ClientCertificateRequired = true,
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowTlsResume = false,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        CertificateChainPolicy = FleetTrust.Policy(authority, time.GetUtcNow()),
        RemoteCertificateValidationCallback = (_, certificate, _, _) =>
        {
            if (certificate is null)
                return true;
            using X509Certificate2 copy = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
            return FleetTrust.WhyNot(copy, authority, time.GetUtcNow()) is { } reason ? throw new AuthenticationException($"the caller's certificate {reason}") : true;
        },
    };

    /// <summary>For a node that knows the authority's certificate.</summary>
    /// <param name="own">null: it has none so far</param>
    public static SslClientAuthenticationOptions ForClient(string host, X509Certificate2 authority, X509Certificate2? own, TimeProvider time) => new()
    {
        TargetHost = host,
        LocalCertificateSelectionCallback = own is null ? null : (_, _, _, _, _) => own,
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowTlsResume = false,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        CertificateChainPolicy = FleetTrust.Policy(authority, time.GetUtcNow()),
        RemoteCertificateValidationCallback = (_, certificate, _, _) =>
            WhyNotAuthority(certificate, authority, time.GetUtcNow()) is { } reason ? throw new AuthenticationException(reason) : true,
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

    /// <summary>Why this authority does not vouch for a certificate at this time; null if it does.</summary>
    public static string? WhyNotIssued(X509Certificate2 certificate, X509Certificate2 authority, DateTimeOffset now) => FleetTrust.WhyNot(certificate, authority, now);

    private static string? WhyNotAuthority(X509Certificate? certificate, X509Certificate2 authority, DateTimeOffset now)
    {
        if (certificate is null)
            return "the other side showed no certificate";
        using X509Certificate2 copy = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
        if (FleetTrust.WhyNot(copy, authority, now) is { } reason)
            return $"the certificate of \"{copy.GetNameInfo(X509NameType.SimpleName, forIssuer: false)}\" {reason}";
        return PeerIdentity.From(copy) is { Role: FleetRole.Authority } ? null : "this is a service of the fleet, but not its authority: that is another port or host";
    }
}
