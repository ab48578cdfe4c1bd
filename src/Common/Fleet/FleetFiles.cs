using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Configuration;
using Evacuator.Common.Hosting;

namespace Evacuator.Common.Fleet;

/// <summary>A certificate with its key, as read; whoever gets it disposes it.</summary>
public sealed record PairRead(X509Certificate2 Certificate);

/// <summary>
/// Certificate and key of one service. They are two files and are replaced as one: the new key is put beside the old one (ROLE.key.next), then the certificate takes its
/// place, then the key. A reader in between finds that ROLE.key does not fit and takes the other.
/// </summary>
public sealed class FleetFiles(string directory, FleetRole role)
{
    public string Authority { get; } = Path.Combine(directory, TlsFiles.Authority);

    public string Certificate { get; } = Path.Combine(directory, TlsFiles.Certificate(role));

    public string Key { get; } = Path.Combine(directory, TlsFiles.Key(role));

    private string NextKey => Key + ".next";

    /// <summary>Null with the mistakes added. Says nothing about who signed it.</summary>
    public PairRead? ReadPair(List<ConfigurationMistake> mistakes)
    {
        string? certificatePem = TlsFiles.Read(Certificate, secret: false, mistakes);
        string? keyPem = TlsFiles.Read(Key, secret: true, mistakes);
        if (certificatePem is null || keyPem is null)
            return null;
        try
        {
            X509Certificate2.CreateFromPem(certificatePem).Dispose();
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            mistakes.Add(new(Certificate, 0, $"is not a certificate in PEM: {e.Message}"));
            return null;
        }

        if (TryPair(certificatePem, keyPem) is { } pair)
            return pair;
        if (File.Exists(NextKey) && TlsFiles.Read(NextKey, secret: true, []) is { } next && TryPair(certificatePem, next) is { } replaced)
            return replaced;
        mistakes.Add(new(Key, 0, $"is not the key of {Certificate}: join the fleet again"));
        return null;
    }

    /// <summary>Replaces both as one.</summary>
    /// <param name="group">owns the key of the brain; null leaves it to the caller's</param>
    public void Replace(IssuedCertificate pair, uint? group)
    {
        const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        const UnixFileMode GroupReads = Private | UnixFileMode.GroupRead;
        UnixFileMode mode = role == FleetRole.Brain ? GroupReads : Private;
        AtomicFile.Write(NextKey, pair.KeyPem, mode, gid: role == FleetRole.Brain ? group : null);
        AtomicFile.Write(Certificate, pair.CertificatePem, GroupReads | UnixFileMode.OtherRead);
        File.Move(NextKey, Key, overwrite: true);
    }

    private static PairRead? TryPair(string certificatePem, string keyPem)
    {
        try
        {
            return new PairRead(X509Certificate2.CreateFromPem(certificatePem, keyPem));
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            return null;
        }
    }
}
