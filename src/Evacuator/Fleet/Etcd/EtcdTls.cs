using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Configuration;

namespace Evacuator.Fleet.Etcd;

/// <summary>Connections to etcd: mutual TLS, with the fleet's own authority and this node's certificate unless others are configured.</summary>
/// <remarks>
/// The files are read anew when they have changed, for connections made from then on, so that renewed certificates need no restart. etcd's gateway calls etcd itself with the server's own
/// certificate, so with client-cert-auth that certificate has to be good for clients as well (extended key usage).
/// </remarks>
internal sealed class EtcdTls : IDisposable
{
    private readonly string _authorityPath;
    private readonly string _certificatePath;
    private readonly string _keyPath;
    private readonly Lock _lock = new();
    private Material _material;

    private EtcdTls(string authorityPath, string certificatePath, string keyPath, Material material) =>
        (_authorityPath, _certificatePath, _keyPath, _material) = (authorityPath, certificatePath, keyPath, material);

    /// <summary>Reads the files; all that is wrong with them at once.</summary>
    public static Checked<EtcdTls> Load(FleetOptions fleet)
    {
        string authority = fleet.EtcdCa.Length > 0 ? fleet.EtcdCa : Path.Combine(fleet.TlsDirectory, "ca.crt");
        string certificate = fleet.EtcdCertificate.Length > 0 ? fleet.EtcdCertificate : Path.Combine(fleet.TlsDirectory, "brain.crt");
        string key = fleet.EtcdKey.Length > 0 ? fleet.EtcdKey : Path.Combine(fleet.TlsDirectory, "brain.key");
        List<ConfigurationMistake> mistakes = [];
        Material? material = Read(authority, certificate, key, mistakes);
        return material is null ? new Checked<EtcdTls>(mistakes) : new Checked<EtcdTls>(new EtcdTls(authority, certificate, key, material));
    }

    /// <summary>With these and no files; they remain the caller's.</summary>
    public static EtcdTls Of(X509Certificate2Collection authorities, X509Certificate2 own) =>
        new("", "", "", new Material([.. authorities.Select(authority => X509CertificateLoader.LoadCertificate(authority.RawData))], X509CertificateLoader.LoadPkcs12(own.Export(X509ContentType.Pkcs12), null), DateTime.MinValue));

    /// <summary>No proxy, no redirects, no cookies.</summary>
    public SocketsHttpHandler Handler() => new()
    {
        UseProxy = false,
        UseCookies = false,
        AllowAutoRedirect = false,
        ConnectTimeout = TimeSpan.FromSeconds(3),
        // A fleet of a thousand nodes keeps no more connections open than etcd has descriptors for.
        MaxConnectionsPerServer = 4,
        // A member that was moved, or a certificate that was renewed, is noticed after this long at the latest.
        PooledConnectionLifetime = TimeSpan.FromMinutes(10),
        SslOptions = new SslClientAuthenticationOptions
        {
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            // A session that is resumed would go on under the certificate with which it was begun.
            AllowTlsResume = false,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            LocalCertificateSelectionCallback = (_, _, _, _, _) => Current().Own,
            RemoteCertificateValidationCallback = (_, certificate, _, errors) => Accept(certificate, errors),
        },
    };

    public void Dispose()
    {
        lock (_lock)
            _material.Dispose();
    }

    /// <summary>The name has to fit, as the framework has checked; whether the authority vouches for it is checked here, against it alone.</summary>
    private bool Accept(X509Certificate? certificate, SslPolicyErrors errors)
    {
        if (certificate is null)
            throw new AuthenticationException("it showed no certificate");
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch))
            throw new AuthenticationException("its certificate is for another name or address than the one in [fleet] etcd-endpoints");
        using X509Certificate2 shown = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
        using X509Chain chain = new()
        {
            ChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
                DisableCertificateDownloads = true,
            },
        };
        chain.ChainPolicy.CustomTrustStore.AddRange(Current().Authorities);
        return chain.Build(shown) ? true
            : throw new AuthenticationException($"its certificate is not accepted ({string.Join(", ", chain.ChainStatus.Select(status => status.Status))}): see [fleet] etcd-ca");
    }

    private Material Current()
    {
        lock (_lock)
        {
            if (_authorityPath.Length == 0 || _material.Stamp == Stamp(_authorityPath, _certificatePath, _keyPath) || Read(_authorityPath, _certificatePath, _keyPath, []) is not { } renewed)
                return _material; // What cannot be read while it is being replaced is read at the next connection.
            // The one before may be in a handshake still; it is collected.
            return _material = renewed;
        }
    }

    private static Material? Read(string authorityPath, string certificatePath, string keyPath, List<ConfigurationMistake> mistakes)
    {
        X509Certificate2Collection authorities = [];
        X509Certificate2? own = null;
        DateTime stamp = Stamp(authorityPath, certificatePath, keyPath);
        string path = authorityPath;
        try
        {
            authorities.ImportFromPemFile(authorityPath);
            if (authorities.Count == 0)
                mistakes.Add(new(authorityPath, 0, "holds no certificate in PEM"));
            path = certificatePath;
            own = X509Certificate2.CreateFromPemFile(certificatePath, keyPath);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            mistakes.Add(new(path, 0, $"cannot be used towards etcd: {e.Message}") { NotAllowed = e is UnauthorizedAccessException });
        }

        if (mistakes.Count == 0 && own is not null)
            return new Material(authorities, own, stamp);
        own?.Dispose();
        return null;
    }

    private static DateTime Stamp(params ReadOnlySpan<string> paths)
    {
        DateTime latest = DateTime.MinValue;
        foreach (string path in paths)
        {
            DateTime written = File.GetLastWriteTimeUtc(path);
            latest = written > latest ? written : latest;
        }

        return latest;
    }

    private sealed record Material(X509Certificate2Collection Authorities, X509Certificate2 Own, DateTime Stamp) : IDisposable
    {
        public void Dispose()
        {
            Own.Dispose();
            foreach (X509Certificate2 authority in Authorities)
                authority.Dispose();
        }
    }
}
