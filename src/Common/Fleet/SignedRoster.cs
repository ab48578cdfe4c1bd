using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;

namespace Evacuator.Common.Fleet;

/// <summary>The fleet's list with the signature of its authority: fleet.json, and what nodes pass on to each other.</summary>
/// <remarks>
/// <code>
/// { "magic": "evacuator-fleet", "version": 1, "statement": "{…FleetRoster as JSON…}", "signature": "base64", "also": ["base64"] }
/// </code>
/// A signature, ECDSA P-256 with SHA-256 in DER, is over "evacuator-fleet", a line feed and the statement in UTF-8, byte for byte as it stands there. While two authorities are
/// trusted, both sign: a node needs the signature of the newest that it trusts. So one that has not heard of the new authority takes the list, and one that has does not let the
/// old one, whose key may be in other hands, change it back.
/// </remarks>
public sealed class SignedRoster
{
    public const string FileName = "fleet.json";

    /// <summary>Bytes; a fleet of some 20,000 nodes.</summary>
    public const int MaxSize = 4 << 20;

    private const string Magic = "evacuator-fleet";

    private const int FormatVersion = 1;

    /// <summary>More are not looked at: each costs a verification.</summary>
    private const int MaxSignatures = 4;

    private SignedRoster(FleetRoster roster, FleetAuthorities authorities, string text) => (Roster, Authorities, Text) = (roster, authorities, text);

    public FleetRoster Roster { get; }

    /// <summary>Whom a node trusts that takes this list.</summary>
    public FleetAuthorities Authorities { get; }

    /// <summary>To be passed on as it is.</summary>
    public string Text { get; }

    /// <param name="signers">oldest first: a release that knows one signature looks at the first</param>
    public static SignedRoster Sign(FleetRoster roster, params IReadOnlyList<FleetAuthority> signers)
    {
        string statement = JsonSerializer.Serialize(roster, ApiJson.Options);
        string[] signatures = [.. signers.Select(signer => Convert.ToBase64String(signer.SignData(Signed(statement))))];
        Envelope envelope = new(Magic, FormatVersion, statement, signatures[0], signatures.Length > 1 ? signatures[1..] : null);
        return new SignedRoster(roster, AuthoritiesOf(roster, "the list") ?? FleetAuthorities.Of(signers[^1].Certificate), JsonSerializer.Serialize(envelope, ApiJson.Options));
    }

    /// <summary>The list in a text that may come from anybody: signed by the newest of these authorities.</summary>
    /// <param name="source">where it was found, for the message</param>
    /// <exception cref="FleetSetupException">it is not this authority's list, or not sound</exception>
    public static SignedRoster Parse(string text, FleetAuthorities authorities, string source) => Parse(text, authorities, [authorities.Newest], source);

    /// <summary>The list in a file that is root's own, beside ca.crt: signed by any of the authorities in there, since the two files are not replaced as one.</summary>
    /// <exception cref="FleetSetupException">it is not this authority's list, or not sound</exception>
    public static SignedRoster ParseOwn(string text, FleetAuthorities authorities, string source) => Parse(text, authorities, authorities.All, source);

    /// <summary>The authorities that a text names, whoever wrote it: nothing is checked, and nothing to be believed.</summary>
    /// <exception cref="FleetSetupException">it names none</exception>
    public static FleetAuthorities ReadAuthorities(string text, string source)
    {
        try
        {
            return text?.Length <= MaxSize && JsonSerializer.Deserialize<Envelope>(text, ApiJson.Options) is { Magic: Magic, Statement: { } statement }
                && JsonSerializer.Deserialize<FleetRoster>(statement, ApiJson.Options) is { } roster && AuthoritiesOf(roster, source) is { } named
                ? named
                : throw new FleetSetupException($"{source}: is not a fleet's list that names its authorities");
        }
        catch (JsonException e)
        {
            throw new FleetSetupException($"{source}: is damaged: {e.Message}", e);
        }
    }

    private static SignedRoster Parse(string text, FleetAuthorities trusted, IReadOnlyList<X509Certificate2> mustSign, string source)
    {
        if (text is null)
            throw new FleetSetupException($"{source}: is empty");
        if (text.Length > MaxSize)
            throw new FleetSetupException($"{source}: is larger than {MaxSize} bytes, not a fleet's list");
        try
        {
            Envelope envelope = JsonSerializer.Deserialize<Envelope>(text, ApiJson.Options) ?? throw new FleetSetupException($"{source}: is empty");
            if (envelope.Magic != Magic || envelope.Statement is null || envelope.Signature is null)
                throw new FleetSetupException($"{source}: is not a fleet's list");
            if (envelope.Version != FormatVersion)
                throw new FleetSetupException($"{source}: is a fleet's list of version {envelope.Version}, this release knows {FormatVersion}");
            byte[][] signatures = [.. new[] { envelope.Signature }.Concat((envelope.Also ?? []).Take(MaxSignatures - 1)).Select(Convert.FromBase64String)];
            if (!mustSign.Any(authority => HasSigned(authority, Signed(envelope.Statement), signatures)))
                throw new FleetSetupException($"{source}: is not signed by this fleet's authority");
            FleetRoster roster = JsonSerializer.Deserialize<FleetRoster>(envelope.Statement, ApiJson.Options) ?? throw new FleetSetupException($"{source}: its list is empty");
            // Signed or not: names go into files and messages, so they are what names may be.
            if (roster.Nodes.Count > 0 && PeersFile.Interpret(IniFile.Parse(source, PeersFile.Format(roster.Nodes))) is { Mistakes: [var mistake, ..] })
                throw new FleetSetupException($"{source}: its list of nodes is not sound: {mistake.Text}");
            return new SignedRoster(roster, AuthoritiesOf(roster, source) ?? trusted, text);
        }
        // Not only what is no JSON: a null among the signatures comes before anybody has looked at one.
        catch (Exception e) when (e is JsonException or FormatException or CryptographicException or ArgumentException)
        {
            throw new FleetSetupException($"{source}: is damaged: {e.Message}", e);
        }
    }

    private static FleetAuthorities? AuthoritiesOf(FleetRoster roster, string source) =>
        roster.Authorities is { Count: > 0 } named ? FleetAuthorities.FromPem(string.Concat(named), source) : null;

    private static bool HasSigned(X509Certificate2 authority, byte[] data, byte[][] signatures)
    {
        using ECDsa key = authority.GetECDsaPublicKey() ?? throw new FleetSetupException("the fleet's authority has no EC key");
        return signatures.Any(signature => key.VerifyData(data, signature, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence));
    }

    private static byte[] Signed(string statement) => Encoding.UTF8.GetBytes($"{Magic}\n{statement}");

    private sealed record Envelope(string Magic, int Version, string Statement, string Signature, IReadOnlyList<string>? Also = null);
}
