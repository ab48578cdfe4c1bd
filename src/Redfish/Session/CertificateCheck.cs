using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Evacuator.Redfish.Session;

/// <summary>
/// Decides whether a presented certificate is the BMC's: pinned leaf, or signed by the configured CA for the name in the URL.
/// Factory certificates are self-signed and carry no usable name, so a pin ignores names and dates; a CA does not.
/// </summary>
internal sealed class CertificateCheck
{
    private readonly string? _pinned;
    private readonly X509Certificate2Collection? _roots;
    private readonly TimeProvider _time;
    private volatile CertificateVerdict? _last;

    private CertificateCheck(string? pinned, X509Certificate2Collection? roots, TimeProvider time)
    {
        _pinned = pinned;
        _roots = roots;
        _time = time;
    }

    /// <summary>Why nothing can be trusted with these options; null when something can.</summary>
    public string? Problem { get; private init; }

    /// <summary>The most recent refusal or acceptance; the reason behind a failed handshake is found here.</summary>
    public CertificateVerdict? Last => _last;

    public static CertificateCheck From(BmcOptions options, TimeProvider time)
    {
        if (options.Fingerprint is { } given)
        {
            string? pinned = Fingerprint.Normalise(given);
            return new CertificateCheck(pinned, null, time) { Problem = pinned is null ? $"'{given}' is not a SHA-256 fingerprint (64 hex digits)" : null };
        }
        if (options.CaFile is { } file)
        {
            try
            {
                X509Certificate2Collection roots = [];
                roots.ImportFromPemFile(file);
                return new CertificateCheck(null, roots, time) { Problem = roots.Count == 0 ? $"{file} holds no certificate" : null };
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
            {
                return new CertificateCheck(null, null, time) { Problem = $"the CA file {file} cannot be read: {e.Message}" };
            }
        }
        return new CertificateCheck(null, null, time)
        {
            Problem = $"no fingerprint and no CA is configured for {options.Url}: run 'evacuator bmc trust --url {options.Url}', compare what it shows with the BMC's own page, and store it",
        };
    }

    public bool Accept(X509Certificate? presented, X509Chain? chain, SslPolicyErrors errors)
    {
        CertificateVerdict verdict = Judge(presented, chain, errors);
        _last = verdict;
        return verdict.Error == BmcError.None;
    }

    private CertificateVerdict Judge(X509Certificate? presented, X509Chain? chain, SslPolicyErrors errors)
    {
        if (presented is not X509Certificate2 leaf)
            return new CertificateVerdict(BmcError.CertificateUntrusted, "the BMC presented no certificate", null, _pinned);
        string fingerprint = Fingerprint.Of(leaf);
        if (_pinned is not null)
        {
            return fingerprint == _pinned
                ? new CertificateVerdict(BmcError.None, "", fingerprint, _pinned)
                : new CertificateVerdict(BmcError.CertificateChanged,
                    $"the certificate is not the pinned one: pinned {_pinned}, presented {fingerprint} ({leaf.Subject}). " +
                    "If the BMC was reset, renewed or replaced, check it there and run 'evacuator bmc trust' again; if not, someone is between", fingerprint, _pinned);
        }
        if (_roots is null)
            return new CertificateVerdict(BmcError.NoTrust, Problem ?? "nothing is trusted", fingerprint, null);

        using X509Chain own = new();
        own.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        own.ChainPolicy.CustomTrustStore.AddRange(_roots);
        own.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        own.ChainPolicy.VerificationTime = _time.GetUtcNow().UtcDateTime;
        own.ChainPolicy.VerificationTimeIgnored = false;
        if (chain is not null)
            own.ChainPolicy.ExtraStore.AddRange(chain.ChainPolicy.ExtraStore);
        if (!own.Build(leaf))
        {
            string why = string.Join("; ", own.ChainStatus.Select(s => s.StatusInformation.Trim()).Distinct());
            return new CertificateVerdict(BmcError.CertificateUntrusted, $"the certificate {leaf.Subject} ({fingerprint}) is not accepted by the configured CA: {why}", fingerprint, null);
        }
        if ((errors & SslPolicyErrors.RemoteCertificateNameMismatch) != 0)
        {
            return new CertificateVerdict(BmcError.CertificateUntrusted,
                $"the certificate {leaf.Subject} is signed by the configured CA but for another name: use the name in the certificate as URL, or pin {fingerprint}", fingerprint, null);
        }
        return new CertificateVerdict(BmcError.None, "", fingerprint, null);
    }
}

/// <summary>Outcome of one certificate check. <c>Pinned</c> and <c>Presented</c> are fingerprints.</summary>
internal sealed record CertificateVerdict(BmcError Error, string Message, string? Presented, string? Pinned);
