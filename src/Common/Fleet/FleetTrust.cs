using System.Security.Cryptography.X509Certificates;

namespace Evacuator.Common.Fleet;

/// <summary>Which certificates the fleet's authority vouches for.</summary>
internal static class FleetTrust
{
    /// <summary>Only this authority; no revocation lists and no intermediate certificates are fetched from anywhere.</summary>
    public static X509ChainPolicy Policy(X509Certificate2 authority, DateTimeOffset now)
    {
        X509ChainPolicy policy = new()
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
            VerificationTimeIgnored = false,
            VerificationTime = now.UtcDateTime,
        };
        policy.CustomTrustStore.Add(authority);
        return policy;
    }

    /// <summary>What is wrong with a certificate, to follow its name; null if the authority vouches for it at this time.</summary>
    public static string? WhyNot(X509Certificate2 certificate, X509Certificate2 authority, DateTimeOffset now)
    {
        if (now < certificate.NotBefore.ToUniversalTime())
            return $"is not valid before {certificate.NotBefore.ToUniversalTime():u}: compare the clocks";
        if (now > certificate.NotAfter.ToUniversalTime())
            return $"expired on {certificate.NotAfter.ToUniversalTime():u}";
        using X509Chain chain = new() { ChainPolicy = Policy(authority, now) };
        if (chain.Build(certificate))
        {
            // A root vouches for itself, but it is no node.
            return certificate.RawDataMemory.Span.SequenceEqual(authority.RawDataMemory.Span) ? "is the authority's own, not a node's" : null;
        }

        foreach (X509ChainStatus status in chain.ChainStatus)
        {
            if (status.Status is X509ChainStatusFlags.PartialChain or X509ChainStatusFlags.UntrustedRoot or X509ChainStatusFlags.NotSignatureValid)
                return "is not from this fleet's authority";
            if (status.Status is X509ChainStatusFlags.NotTimeValid)
                return $"has an authority that expired on {authority.NotAfter.ToUniversalTime():u}";
        }

        return $"is not acceptable: {chain.ChainStatus.FirstOrDefault().StatusInformation?.Trim()}";
    }
}
