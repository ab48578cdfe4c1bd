using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;

namespace Evacuator.Power;

/// <summary>What a witness saw on the BMC of a host that it watched.</summary>
/// <param name="Evacuation">of the host</param>
/// <param name="Host">by the certificate that it asked with</param>
/// <param name="Power">Off</param>
/// <param name="Reads">the reads that agreed, in two looks at least: when by the witness's clock, where, and what the BMC said</param>
/// <param name="BmcFingerprint">SHA-256 of the certificate that the BMC showed, hex; empty if it could not be told</param>
/// <param name="Forced">when the witness forced it off; null if it did not</param>
/// <param name="Witness">the node that says this</param>
internal sealed record WitnessStatement(
    int Version, Guid Evacuation, string Host, string Power, IReadOnlyList<PowerSight> Reads, string Bmc, string BmcFingerprint, DateTimeOffset? Forced, string Witness)
{
    public const int CurrentVersion = 1;
}

/// <summary>One value that a BMC told.</summary>
internal sealed record PowerSight(DateTimeOffset At, string Uri, string Value);

/// <summary>
/// The witness's statement, signed with the key of its brain, so that a report can be believed by whoever has the fleet's authority, also when the witness is gone.
/// </summary>
/// <remarks>
/// The signature, ECDSA P-256 with SHA-256 in DER, is over "evacuator-witness", a line feed and the statement in UTF-8, byte for byte as it stands there.
/// </remarks>
/// <param name="Statement"><see cref="WitnessStatement"/> as JSON</param>
/// <param name="Signature">base64</param>
/// <param name="Certificate">of the witness's brain, PEM</param>
internal sealed record WitnessCertificate(string Statement, string Signature, string Certificate)
{
    private const string Context = "evacuator-witness\n";

    public static WitnessCertificate Sign(WitnessStatement statement, X509Certificate2 own)
    {
        string text = JsonSerializer.Serialize(statement, ApiJson.Options);
        using ECDsa key = own.GetECDsaPrivateKey() ?? throw new InvalidOperationException("the certificate has no EC key");
        return new WitnessCertificate(text, Convert.ToBase64String(key.SignData(Signed(text), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence)), own.ExportCertificatePem() + "\n");
    }

    /// <summary>Judges it: who signed it, and whether it says that this host was off in this evacuation.</summary>
    /// <param name="authorities">that are trusted now; the list tells of earlier ones</param>
    /// <param name="roster">tells who was revoked, and which authorities were retired; null: none is known to be</param>
    public WitnessCheck Check(Guid evacuation, string host, FleetAuthorities authorities, FleetRoster? roster)
    {
        try
        {
            WitnessStatement said = JsonSerializer.Deserialize<WitnessStatement>(Statement, ApiJson.Options) ?? throw new JsonException("the statement is empty");
            using X509Certificate2 signer = X509Certificate2.CreateFromPem(Certificate);
            if (said.Version != WitnessStatement.CurrentVersion)
                return Bad($"the statement is of version {said.Version}, this release knows {WitnessStatement.CurrentVersion}");
            if (said.Reads is not [{ } first, .., { } last] || said.Reads.Any(read => read is null))
                return Bad("the statement names fewer than two reads");

            // 1. Who: a certificate of this fleet that was good when it was signed, and the key that belongs to it.
            RetiredAuthority? retired = null;
            if (authorities.WhyNot(signer, last.At) is { } reason)
            {
                retired = roster?.Retired.FirstOrDefault(earlier => FleetAuthorities.FromPem(earlier.Certificate, "the list").WhyNot(signer, last.At) is null);
                if (retired is null)
                    return Bad($"the signer's certificate {reason}");
                if (retired.At <= last.At)
                    return Bad($"the authority of the signer's certificate had been retired at {retired.At:u}, before it signed this");
            }

            if (PeerIdentity.From(signer) is not { Role: FleetRole.Brain } identity)
                return Bad("the signer's certificate is not of a node's brain");
            using ECDsa? key = signer.GetECDsaPublicKey();
            if (key is null || !key.VerifyData(Signed(Statement), Convert.FromBase64String(Signature), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence))
                return Bad($"the signature is not of {identity.Node}");
            if (identity.Node != said.Witness)
                return Bad($"the statement speaks for {said.Witness} and is signed by {identity.Node}");
            if (identity.Node == said.Host)
                return Bad($"{said.Host} speaks for itself: no host can see itself off");

            // 2. What.
            if (said.Evacuation != evacuation || said.Host != host)
                return Bad($"the statement is about evacuation {said.Evacuation:D} of {said.Host}");
            if (said.Power != PowerLook.Off || said.Reads.Any(read => read.Value != PowerLook.Off))
                return Bad($"the statement says {said.Power}");
            if (last.At <= first.At)
                return Bad("the reads are of the same time");

            // 3. Since then.
            Revocation? revoked = roster?.Find(identity.Node) is { } found && signer.NotBefore.ToUniversalTime() < found.Before ? found : null;
            if (revoked is not null && revoked.At <= last.At)
                return Bad($"the certificates of {identity.Node} had been revoked at {revoked.At:u}, before it signed this");
            string text = string.Create(CultureInfo.InvariantCulture,
                $"{said.Host} was Off in {said.Reads.Count} reads from {first.At:u} to {last.At:u} on the BMC {said.Bmc} ({(said.BmcFingerprint.Length > 0 ? said.BmcFingerprint : "its certificate was not noted")}){(said.Forced is { } forced ? $", after it was forced off at {forced:u}" : "")}; signed by {identity.Node}");
            string[] notes =
            [
                revoked is null ? "" : $"{identity.Node} was revoked at {revoked.At:u}, after it signed this",
                retired is null ? "" : $"the authority of its certificate was retired at {retired.At:u}; whoever has that one's key can have made this since",
            ];
            return new WitnessCheck(said, text, string.Join("; ", notes.Where(note => note.Length > 0)));
        }
        catch (Exception e) when (e is JsonException or FormatException or CryptographicException or ArgumentException)
        {
            return Bad($"it is damaged: {e.Message}");
        }

        static WitnessCheck Bad(string text) => new(null, text, "");
    }

    private static byte[] Signed(string statement) => Encoding.UTF8.GetBytes(Context + statement);
}

/// <param name="Statement">what is certain; null if nothing is</param>
/// <param name="Text">it, or why nothing is certain, in words</param>
/// <param name="Note">something to know besides; empty as a rule</param>
internal sealed record WitnessCheck(WitnessStatement? Statement, string Text, string Note);
