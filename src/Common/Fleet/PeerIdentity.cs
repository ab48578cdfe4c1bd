using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Evacuator.Common.Fleet;

/// <summary>What a certificate of the fleet speaks for.</summary>
public enum FleetRole
{
    None = 0,

    /// <summary>evacuator serve: decides.</summary>
    Brain = 1,

    /// <summary>evacuator-agent: acts.</summary>
    Agent = 2,

    /// <summary>evacuator authority: signs certificates and says who is in the fleet.</summary>
    Authority = 3,
}

/// <summary>Who is at the other end of a connection: a node's name and which of its two services. In certificates: the URI evacuator://fleet/NODE/ROLE.</summary>
public sealed record PeerIdentity(string Node, FleetRole Role)
{
    private const string SubjectAlternativeName = "2.5.29.17";

    private const string Prefix = "evacuator://fleet/";

    public Uri Uri => new($"{Prefix}{Node}/{Word(Role)}");

    /// <summary>node1/agent, for messages.</summary>
    public override string ToString() => $"{Node}/{Word(Role)}";

    public static string Word(FleetRole role) => JsonNamingPolicy.KebabCaseLower.ConvertName(role.ToString());

    /// <summary>The identity in a certificate, or null if it has none or more than one. Says nothing about who signed it.</summary>
    public static PeerIdentity? From(X509Certificate2 certificate)
    {
        PeerIdentity? found = null;
        foreach (X509Extension extension in certificate.Extensions)
        {
            if (extension.Oid?.Value != SubjectAlternativeName)
                continue;
            if (!TryReadUris(extension.RawData, out List<string> uris))
                return null;
            foreach (string uri in uris)
            {
                if (!TryParse(uri, out PeerIdentity? identity) || found is not null)
                    return null;
                found = identity;
            }
        }

        return found;
    }

    private static bool TryParse(string uri, out PeerIdentity? identity)
    {
        identity = null;
        if (!uri.StartsWith(Prefix, StringComparison.Ordinal) || uri[Prefix.Length..].Split('/') is not [var node, var word])
            return false;
        FleetRole role = word switch
        {
            "brain" => FleetRole.Brain,
            "agent" => FleetRole.Agent,
            "authority" => FleetRole.Authority,
            _ => FleetRole.None,
        };
        if (role == FleetRole.None || !NodeName.IsValid(node))
            return false;
        identity = new PeerIdentity(node, role);
        return true;
    }

    /// <summary>RFC 5280, 4.2.1.6: SEQUENCE OF GeneralName, of which uniformResourceIdentifier is [6] IA5String.</summary>
    private static bool TryReadUris(byte[] extension, out List<string> uris)
    {
        uris = [];
        try
        {
            AsnReader names = new AsnReader(extension, AsnEncodingRules.DER).ReadSequence();
            Asn1Tag uriTag = new(TagClass.ContextSpecific, 6);
            while (names.HasData)
            {
                if (names.PeekTag().HasSameClassAndValue(uriTag))
                    uris.Add(names.ReadCharacterString(UniversalTagNumber.IA5String, uriTag));
                else
                    names.ReadEncodedValue();
            }

            return true;
        }
        catch (Exception e) when (e is AsnContentException or CryptographicException)
        {
            return false;
        }
    }
}
