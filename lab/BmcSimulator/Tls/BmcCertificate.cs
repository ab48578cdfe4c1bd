using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Evacuator.Lab.BmcSimulator.Tls;

/// <summary>The certificate a BMC makes for itself at first boot: self-signed, a name that resolves nowhere, no address in it.</summary>
internal static class BmcCertificate
{
    public static X509Certificate2 Create(string serial, TimeProvider time)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN=bmc-{serial}, O=Evacuator Lab", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        DateTimeOffset now = time.GetUtcNow();
        using X509Certificate2 certificate = request.CreateSelfSigned(now.AddDays(-1), now.AddYears(10));
        // The copy owns its key; a listener cannot use one that belongs to the request.
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pfx), null, X509KeyStorageFlags.Exportable);
    }

    /// <summary>The certificate in the file, made now where there is none.</summary>
    public static X509Certificate2 LoadOrCreate(string path, string serial, TimeProvider time)
    {
        if (File.Exists(path))
        {
            return X509CertificateLoader.LoadPkcs12FromFile(path, null, X509KeyStorageFlags.Exportable);
        }

        X509Certificate2 certificate = Create(serial, time);
        Save(certificate, path);
        return certificate;
    }

    public static void Save(X509Certificate2 certificate, string path)
    {
        using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
        file.Write(certificate.Export(X509ContentType.Pfx));
    }

    /// <summary>SHA-256 of the DER certificate, lower case.</summary>
    public static string Fingerprint(X509Certificate2 certificate) => Convert.ToHexStringLower(SHA256.HashData(certificate.RawData));
}
