using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Evacuator.Common.Fleet;

/// <summary>
/// The fleet's own certificate authority, EC P-256. Lives only where "evacuator fleet init" is run; nodes hold its certificate, never its key.
/// </summary>
public sealed class FleetAuthority : IDisposable
{
    /// <summary>Clocks of nodes differ: certificates are valid from an hour before they are made.</summary>
    public static readonly TimeSpan Backdating = TimeSpan.FromHours(1);

    public static readonly TimeSpan AuthorityLifetime = TimeSpan.FromDays(3653);

    public static readonly TimeSpan NodeLifetime = TimeSpan.FromDays(731);

    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";

    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    private readonly TimeProvider _time;

    private FleetAuthority(X509Certificate2 certificate, TimeProvider time) => (Certificate, _time) = (certificate, time);

    /// <summary>With its private key.</summary>
    public X509Certificate2 Certificate { get; }

    public string CertificatePem => Certificate.ExportCertificatePem() + "\n";

    public static FleetAuthority Create(TimeProvider time)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=Evacuator fleet", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: true, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        DateTimeOffset from = time.GetUtcNow() - Backdating;
        return new FleetAuthority(request.CreateSelfSigned(from, from + AuthorityLifetime), time);
    }

    /// <summary>The authority from its two PEM texts.</summary>
    /// <exception cref="CryptographicException">they are not a certificate and its key</exception>
    public static FleetAuthority FromPem(string certificatePem, string keyPem, TimeProvider time) => new(X509Certificate2.CreateFromPem(certificatePem, keyPem), time);

    public string ExportKeyPem()
    {
        using ECDsa key = Certificate.GetECDsaPrivateKey()!;
        return key.ExportPkcs8PrivateKeyPem() + "\n";
    }

    /// <summary>A new certificate and key for one service of one node.</summary>
    public IssuedCertificate Issue(PeerIdentity identity)
    {
        if (!NodeName.IsValid(identity.Node))
            throw new ArgumentException($"\"{identity.Node}\" is not a node's name", nameof(identity));
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new($"CN={identity.Node}, OU={PeerIdentity.Word(identity.Role)}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(ServerAuthentication), new Oid(ClientAuthentication)], critical: false));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(Certificate, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        SubjectAlternativeNameBuilder names = new();
        names.AddUri(identity.Uri);
        names.AddDnsName(identity.Node);
        request.CertificateExtensions.Add(names.Build());

        DateTimeOffset from = _time.GetUtcNow() - Backdating;
        DateTimeOffset until = from + NodeLifetime;
        DateTimeOffset authorityFrom = new(Certificate.NotBefore.ToUniversalTime());
        DateTimeOffset authorityUntil = new(Certificate.NotAfter.ToUniversalTime());
        using X509Certificate2 certificate = request.Create(
            Certificate, from < authorityFrom ? authorityFrom : from, until > authorityUntil ? authorityUntil : until, RandomNumberGenerator.GetBytes(16));
        return new IssuedCertificate(certificate.ExportCertificatePem() + "\n", key.ExportPkcs8PrivateKeyPem() + "\n");
    }

    public void Dispose() => Certificate.Dispose();
}

/// <summary>A certificate and its private key, both PEM.</summary>
public sealed record IssuedCertificate(string CertificatePem, string KeyPem);
