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
/// { "magic": "evacuator-fleet", "version": 1, "statement": "{…FleetRoster as JSON…}", "signature": "base64" }
/// </code>
/// The signature, ECDSA P-256 with SHA-256 in DER, is over "evacuator-fleet", a line feed and the statement in UTF-8, byte for byte as it stands there.
/// </remarks>
public sealed class SignedRoster
{
    public const string FileName = "fleet.json";

    /// <summary>Bytes; a fleet of some 20,000 nodes.</summary>
    public const int MaxSize = 4 << 20;

    private const string Magic = "evacuator-fleet";

    private const int FormatVersion = 1;

    private SignedRoster(FleetRoster roster, string text) => (Roster, Text) = (roster, text);

    public FleetRoster Roster { get; }

    /// <summary>To be passed on as it is.</summary>
    public string Text { get; }

    public static SignedRoster Sign(FleetRoster roster, FleetAuthority authority)
    {
        string statement = JsonSerializer.Serialize(roster, ApiJson.Options);
        Envelope envelope = new(Magic, FormatVersion, statement, Convert.ToBase64String(authority.SignData(Signed(statement))));
        return new SignedRoster(roster, JsonSerializer.Serialize(envelope, ApiJson.Options));
    }

    /// <summary>The list in a text that may come from anybody.</summary>
    /// <param name="source">where it was found, for the message</param>
    /// <exception cref="FleetSetupException">it is not this authority's list, or not sound</exception>
    public static SignedRoster Parse(string text, X509Certificate2 authority, string source)
    {
        if (text.Length > MaxSize)
            throw new FleetSetupException($"{source}: is larger than {MaxSize} bytes, not a fleet's list");
        try
        {
            Envelope envelope = JsonSerializer.Deserialize<Envelope>(text, ApiJson.Options) ?? throw new FleetSetupException($"{source}: is empty");
            if (envelope.Magic != Magic || envelope.Statement is null || envelope.Signature is null)
                throw new FleetSetupException($"{source}: is not a fleet's list");
            if (envelope.Version != FormatVersion)
                throw new FleetSetupException($"{source}: is a fleet's list of version {envelope.Version}, this release knows {FormatVersion}");
            using ECDsa key = authority.GetECDsaPublicKey() ?? throw new FleetSetupException("the fleet's authority has no EC key");
            if (!key.VerifyData(Signed(envelope.Statement), Convert.FromBase64String(envelope.Signature), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence))
                throw new FleetSetupException($"{source}: is not signed by this fleet's authority");
            FleetRoster roster = JsonSerializer.Deserialize<FleetRoster>(envelope.Statement, ApiJson.Options) ?? throw new FleetSetupException($"{source}: its list is empty");
            // Signed or not: names go into files and messages, so they are what names may be.
            if (roster.Nodes.Count > 0 && PeersFile.Interpret(IniFile.Parse(source, PeersFile.Format(roster.Nodes))) is { Mistakes: [var mistake, ..] })
                throw new FleetSetupException($"{source}: its list of nodes is not sound: {mistake.Text}");
            return new SignedRoster(roster, text);
        }
        catch (Exception e) when (e is JsonException or FormatException or CryptographicException)
        {
            throw new FleetSetupException($"{source}: is damaged: {e.Message}", e);
        }
    }

    private static byte[] Signed(string statement) => Encoding.UTF8.GetBytes($"{Magic}\n{statement}");

    private sealed record Envelope(string Magic, int Version, string Statement, string Signature);
}
