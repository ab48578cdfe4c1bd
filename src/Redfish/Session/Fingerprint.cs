using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Evacuator.Redfish.Session;

/// <summary>SHA-256 fingerprints of certificates in the one form we keep and print: lower-case hex in pairs with colons, as openssl does but lower-case.</summary>
public static class Fingerprint
{
    /// <summary>The kept form of any usual writing (colons, blanks, upper case, "SHA256:" or "sha256 Fingerprint=" before it); null when it is none.</summary>
    public static string? Normalise(string text)
    {
        int prefix = text.LastIndexOf('=');
        string tail = prefix >= 0 ? text[(prefix + 1)..] : text;
        if (tail.StartsWith("sha256:", StringComparison.OrdinalIgnoreCase) || tail.StartsWith("sha-256:", StringComparison.OrdinalIgnoreCase))
            tail = tail[(tail.IndexOf(':') + 1)..];
        string digits = tail.Replace(":", "", StringComparison.Ordinal).Replace(" ", "", StringComparison.Ordinal).Trim();
        return digits.Length == 64 && digits.All(char.IsAsciiHexDigit) ? Write(Convert.FromHexString(digits)) : null;
    }

    public static string Of(X509Certificate2 certificate) => Write(certificate.GetCertHash(HashAlgorithmName.SHA256));

    private static string Write(byte[] hash) => string.Join(':', hash.Select(b => b.ToString("x2", null)));
}
