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

    /// <summary>Of a certificate that its node renews by itself.</summary>
    public static readonly TimeSpan RenewedLifetime = TimeSpan.FromDays(366);

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
        // No two of the same name: who checks a chain by names, as OpenSSL does where a certificate does not tell its authority's key, takes the wrong one of two.
        CertificateRequest request = new($"CN=Evacuator fleet {Convert.ToHexString(RandomNumberGenerator.GetBytes(4))}", key, HashAlgorithmName.SHA256);
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
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 certificate = Issue(identity, new PublicKey(key), NodeLifetime, notBefore: null);
        return new IssuedCertificate(certificate.ExportCertificatePem() + "\n", key.ExportPkcs8PrivateKeyPem() + "\n");
    }

    /// <summary>A certificate for the key of a request; of all that the request says, only the key counts, and that its maker has the private one.</summary>
    /// <param name="requestPem">PKCS#10, EC P-256</param>
    /// <param name="notBefore">the certificate is not valid earlier than this, so that what was revoked stays apart from what was issued since</param>
    /// <exception cref="FleetSetupException">it is no such request</exception>
    public string Sign(PeerIdentity identity, string requestPem, TimeSpan lifetime, DateTimeOffset? notBefore)
    {
        try
        {
            PublicKey key = CertificateRequest.LoadSigningRequestPem(requestPem, HashAlgorithmName.SHA256).PublicKey;
            using (ECDsa? curve = key.GetECDsaPublicKey())
            {
                if (curve?.ExportParameters(includePrivateParameters: false).Curve.Oid.Value != ECCurve.NamedCurves.nistP256.Oid.Value)
                    throw new FleetSetupException("the request's key is not on the curve P-256");
            }

            using X509Certificate2 certificate = Issue(identity, key, lifetime, notBefore);
            return certificate.ExportCertificatePem() + "\n";
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new FleetSetupException($"the certificate request is damaged: {e.Message}", e);
        }
    }

    /// <summary>A certificate of this authority's own service; the caller disposes it.</summary>
    public X509Certificate2 IssueOwn(PeerIdentity identity, TimeSpan lifetime)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 certificate = Issue(identity, new PublicKey(key), lifetime, notBefore: null);
        return certificate.CopyWithPrivateKey(key);
    }

    /// <summary>ECDSA with SHA-256, in DER as openssl writes it.</summary>
    public byte[] SignData(byte[] data)
    {
        using ECDsa key = Certificate.GetECDsaPrivateKey()!;
        return key.SignData(data, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
    }

    private X509Certificate2 Issue(PeerIdentity identity, PublicKey key, TimeSpan lifetime, DateTimeOffset? notBefore)
    {
        if (!NodeName.IsValid(identity.Node))
            throw new ArgumentException($"\"{identity.Node}\" is not a node's name", nameof(identity));
        CertificateRequest request = new(new X500DistinguishedName($"CN={identity.Node}, OU={PeerIdentity.Word(identity.Role)}"), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(ServerAuthentication), new Oid(ClientAuthentication)], critical: false));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(Certificate, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        SubjectAlternativeNameBuilder names = new();
        names.AddUri(identity.Uri);
        names.AddDnsName(identity.Node);
        request.CertificateExtensions.Add(names.Build());

        DateTimeOffset now = _time.GetUtcNow();
        DateTimeOffset authorityUntil = new(Certificate.NotAfter.ToUniversalTime());
        DateTimeOffset from = Later(Later(now - Backdating, notBefore), new DateTimeOffset(Certificate.NotBefore.ToUniversalTime()));
        DateTimeOffset until = now - Backdating + lifetime;
        return request.Create(Certificate, from, until > authorityUntil ? authorityUntil : until, RandomNumberGenerator.GetBytes(16));

        static DateTimeOffset Later(DateTimeOffset one, DateTimeOffset? other) => other is { } time && time > one ? time : one;
    }

    public void Dispose() => Certificate.Dispose();
}

/// <summary>A certificate and its private key, both PEM.</summary>
public sealed record IssuedCertificate(string CertificatePem, string KeyPem);
