using System.Security.Cryptography;

namespace Evacuator.Common.Fleet;

/// <summary>
/// What lets one new node join once, in one word that can be pasted: which token it is, its secret, and the fingerprint of the authority, so that the
/// new node knows whom it talks to before it says anything.
/// </summary>
/// <remarks>
/// <code>
/// evj1_ base64url( id 8 bytes | secret 20 bytes | SHA-256 of the authority's certificate 32 bytes | first 4 bytes of the SHA-256 of all before )
/// </code>
/// The last four bytes only tell a token that was copied in part from one that is not known.
/// </remarks>
public sealed record JoinToken
{
    private const string Prefix = "evj1_";
    private const int IdSize = 8;
    private const int SecretSize = 20;
    private const int HashSize = 32;
    private const int CheckSize = 4;

    private readonly byte[] _secret;

    private JoinToken(string id, byte[] secret, string fingerprint) => (Id, _secret, Fingerprint) = (id, secret, fingerprint);

    /// <summary>Hex; no secret.</summary>
    public string Id { get; }

    /// <summary>SHA-256 of the authority's certificate, hex.</summary>
    public string Fingerprint { get; }

    /// <summary>Hex.</summary>
    public string Secret => Convert.ToHexString(_secret);

    /// <summary>What the authority keeps of the secret: it has 160 random bits, so a plain hash cannot be searched.</summary>
    public string SecretHash => HashOf(Secret);

    public static JoinToken Make(string fingerprint) =>
        new(Convert.ToHexString(RandomNumberGenerator.GetBytes(IdSize)), RandomNumberGenerator.GetBytes(SecretSize), fingerprint);

    public static string HashOf(string secret) => Convert.ToHexString(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(secret)));

    /// <exception cref="FleetSetupException">it is no token, or not a whole one</exception>
    public static JoinToken Parse(string text)
    {
        text = text.Trim();
        if (!text.StartsWith(Prefix, StringComparison.Ordinal))
            throw new FleetSetupException($"this is not a join token: it begins with {Prefix} (\"evacuator fleet token\" makes one)");
        byte[] bytes;
        try
        {
            string base64 = text[Prefix.Length..].Replace('-', '+').Replace('_', '/');
            bytes = Convert.FromBase64String(base64.PadRight((base64.Length + 3) / 4 * 4, '='));
        }
        catch (FormatException)
        {
            bytes = [];
        }

        const int Whole = IdSize + SecretSize + HashSize + CheckSize;
        if (bytes.Length != Whole || !SHA256.HashData(bytes.AsSpan(..^CheckSize)).AsSpan(0, CheckSize).SequenceEqual(bytes.AsSpan(^CheckSize..)))
            throw new FleetSetupException("the join token is not whole: copy all of it");
        return new JoinToken(Convert.ToHexString(bytes[..IdSize]), bytes[IdSize..(IdSize + SecretSize)], Convert.ToHexString(bytes[(IdSize + SecretSize)..^CheckSize]));
    }

    /// <summary>The word itself. Secret.</summary>
    public string ToText()
    {
        byte[] bytes = [.. Convert.FromHexString(Id), .. _secret, .. Convert.FromHexString(Fingerprint)];
        byte[] whole = [.. bytes, .. SHA256.HashData(bytes).AsSpan(0, CheckSize)];
        return Prefix + Convert.ToBase64String(whole).TrimEnd('=').Replace('+', '-').Replace('/', '_');
    }

    public override string ToString() => $"token {Id}";
}
