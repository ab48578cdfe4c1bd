using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Evacuator.Common.Fleet;

/// <summary>
/// The authorities that a node trusts, newest first: one as a rule, two while the fleet's authority is being replaced. Only their certificates, never their keys.
/// </summary>
/// <remarks>Nobody disposes the certificates: a handshake under way may use an earlier set. There is a new one when an authority is replaced, every few years.</remarks>
public sealed class FleetAuthorities
{
    /// <summary>Of one file or list; more are damage or an attack on the handshakes' time.</summary>
    private const int Most = 4;

    private FleetAuthorities(IReadOnlyList<X509Certificate2> all)
    {
        All = all;
        Fingerprints = [.. all.Select(FingerprintOf)];
    }

    /// <summary>Newest first, never empty.</summary>
    public IReadOnlyList<X509Certificate2> All { get; }

    /// <summary>SHA-256 of each, hex.</summary>
    public IReadOnlyList<string> Fingerprints { get; }

    public X509Certificate2 Newest => All[0];

    /// <summary>As ca.crt holds them.</summary>
    public string Pem => string.Concat(All.Select(certificate => certificate.ExportCertificatePem() + "\n"));

    public static string FingerprintOf(X509Certificate2 certificate) => certificate.GetCertHashString(HashAlgorithmName.SHA256);

    /// <summary>Trusts this one alone; a copy, without a key.</summary>
    public static FleetAuthorities Of(X509Certificate2 authority) => new([X509CertificateLoader.LoadCertificate(authority.RawData)]);

    /// <param name="pem">one or more certificates, newest first; may come from anybody</param>
    /// <exception cref="FleetSetupException">it is something else</exception>
    public static FleetAuthorities FromPem(string pem, string source)
    {
        X509Certificate2Collection read = [];
        try
        {
            read.ImportFromPem(pem);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new FleetSetupException($"{source}: is not a certificate in PEM, or is damaged: {e.Message}", e);
        }

        if (read.Count is 0 or > Most)
            throw new FleetSetupException(read.Count == 0 ? $"{source}: is not a certificate in PEM, or is damaged" : $"{source}: holds {read.Count} authorities, a fleet has two at most");
        if (read.FirstOrDefault(certificate => !IsAuthority(certificate)) is { } other)
            throw new FleetSetupException($"{source}: \"{other.GetNameInfo(X509NameType.SimpleName, forIssuer: false)}\" is not the certificate of an authority with an EC key");
        return new FleetAuthorities([.. read]);
    }

    /// <exception cref="FleetSetupException">it cannot be read, or is something else</exception>
    public static FleetAuthorities FromFile(string path)
    {
        try
        {
            return FromPem(File.ReadAllText(path), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FleetSetupException(e.Message, e) { NotAllowed = e is UnauthorizedAccessException };
        }
    }

    public bool Has(string fingerprint) => Fingerprints.Contains(fingerprint);

    /// <summary>Whether both name the same, in the same order.</summary>
    public bool IsSameAs(FleetAuthorities other) => Fingerprints.SequenceEqual(other.Fingerprints);

    /// <summary>Only these; no revocation lists and no intermediate certificates are fetched from anywhere.</summary>
    public X509ChainPolicy Policy(DateTimeOffset now) => PolicyOf(All, now);

    /// <summary>The one that vouches for a certificate at this time; null if none does.</summary>
    public X509Certificate2? IssuerOf(X509Certificate2 certificate, DateTimeOffset now) => All.FirstOrDefault(authority => WhyNot(certificate, authority, now) is null);

    /// <summary>The fingerprint of the one that has issued a certificate, whether it is still valid or not; empty if it was none of these.</summary>
    public string IssuerOf(X509Certificate2 certificate) =>
        IssuerOf(certificate, certificate.NotBefore.ToUniversalTime()) is { } issuer ? FingerprintOf(issuer) : "";

    /// <summary>What is wrong with a certificate, to follow its name; null if one of these vouches for it at this time.</summary>
    public string? WhyNot(X509Certificate2 certificate, DateTimeOffset now)
    {
        string? first = null;
        foreach (X509Certificate2 authority in All)
        {
            if (WhyNot(certificate, authority, now) is not { } reason)
                return null;
            // Of two authorities the one that has issued it knows more than that it has not.
            if (first is null or NotOurs)
                first = reason;
        }

        return first;
    }

    private const string NotOurs = "is not from this fleet's authority";

    /// <summary>Each authority is tried alone: their names may be alike, and what vouches has to be known exactly.</summary>
    private static string? WhyNot(X509Certificate2 certificate, X509Certificate2 authority, DateTimeOffset now)
    {
        if (now < certificate.NotBefore.ToUniversalTime())
            return $"is not valid before {certificate.NotBefore.ToUniversalTime():u}: compare the clocks";
        if (now > certificate.NotAfter.ToUniversalTime())
            return $"expired on {certificate.NotAfter.ToUniversalTime():u}";
        using X509Chain chain = new() { ChainPolicy = PolicyOf([authority], now) };
        if (chain.Build(certificate))
        {
            // A root vouches for itself, but it is no node.
            return certificate.RawDataMemory.Span.SequenceEqual(authority.RawDataMemory.Span) ? "is the authority's own, not a node's" : null;
        }

        foreach (X509ChainStatus status in chain.ChainStatus)
        {
            if (status.Status is X509ChainStatusFlags.PartialChain or X509ChainStatusFlags.UntrustedRoot or X509ChainStatusFlags.NotSignatureValid)
                return NotOurs;
            if (status.Status is X509ChainStatusFlags.NotTimeValid)
                return $"has an authority that expired on {authority.NotAfter.ToUniversalTime():u}";
        }

        return $"is not acceptable: {chain.ChainStatus.FirstOrDefault().StatusInformation?.Trim()}";
    }

    private static X509ChainPolicy PolicyOf(IReadOnlyList<X509Certificate2> authorities, DateTimeOffset now)
    {
        X509ChainPolicy policy = new()
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
            VerificationTimeIgnored = false,
            VerificationTime = now.UtcDateTime,
        };
        foreach (X509Certificate2 authority in authorities)
            policy.CustomTrustStore.Add(authority);
        return policy;
    }

    private static bool IsAuthority(X509Certificate2 certificate)
    {
        using ECDsa? key = certificate.GetECDsaPublicKey();
        return key is not null && certificate.Extensions.OfType<X509BasicConstraintsExtension>().Any(constraints => constraints.CertificateAuthority);
    }
}
