using System.Text.Json;
using Evacuator.Common.AgentApi;

namespace Evacuator.Common.Fleet;

/// <summary>All that a node needs to belong to the fleet, in one file: NODE.join. It holds private keys; whoever has it is that node.</summary>
public sealed record JoinBundle
{
    public const string ExpectedMagic = "evacuator-join";

    public const int CurrentVersion = 1;

    private const long MaximumSize = 4 * 1024 * 1024;

    public required string Magic { get; init; }

    public required int Version { get; init; }

    public required string Node { get; init; }

    /// <summary>Certificate of the fleet's authority, PEM.</summary>
    public required string Authority { get; init; }

    public required IssuedCertificate Brain { get; init; }

    public required IssuedCertificate Agent { get; init; }

    /// <summary>All nodes of the fleet, this one included.</summary>
    public required IReadOnlyList<Peer> Peers { get; init; }

    /// <summary>The same list as its authority has signed it (<see cref="SignedRoster"/>); null in a bundle of an earlier release.</summary>
    public string? Roster { get; init; }

    public string ToJson() => JsonSerializer.Serialize(this, ApiJson.Indented) + "\n";

    /// <summary>Reads a bundle; its contents are not judged here.</summary>
    /// <exception cref="FleetSetupException">the file is missing, unreadable or no bundle of a version that we know</exception>
    public static JoinBundle Read(string path)
    {
        JoinBundle? bundle;
        try
        {
            FileInfo file = new(path);
            if (file.Exists && file.Length > MaximumSize)
                throw new FleetSetupException($"{path}: is larger than {MaximumSize} bytes, not a join bundle");
            byte[] text = File.ReadAllBytes(path);
            using (JsonDocument document = JsonDocument.Parse(text))
            {
                JsonElement root = document.RootElement;
                if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("magic", out JsonElement magic)
                    || magic.ValueKind != JsonValueKind.String || magic.GetString() != ExpectedMagic)
                    throw new FleetSetupException($"{path}: is not a join bundle (\"evacuator fleet init\" writes NODE.join)");
                if (!root.TryGetProperty("version", out JsonElement version) || !version.TryGetInt32(out int number) || number != CurrentVersion)
                    throw new FleetSetupException($"{path}: is a join bundle of another version than {CurrentVersion}: use the same release of evacuator on all nodes");
            }

            bundle = JsonSerializer.Deserialize<JoinBundle>(text, ApiJson.Options);
        }
        catch (JsonException e)
        {
            throw new FleetSetupException($"{path}: is not a join bundle (\"evacuator fleet init\" writes NODE.join), or is damaged: {e.Message}", e);
        }
        catch (FileNotFoundException e)
        {
            throw new FleetSetupException($"{path}: does not exist", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FleetSetupException($"{path}: {e.Message}", e);
        }

        return bundle ?? throw new FleetSetupException($"{path}: is empty");
    }
}

/// <summary>A fleet could not be set up or joined. The message is for the operator: what, where, what to do.</summary>
public class FleetSetupException : Exception
{
    /// <summary>The caller is not root, or may not read or write a file: nothing was tried.</summary>
    public bool NotAllowed { get; init; }

    public FleetSetupException(string message)
        : base(message)
    {
    }

    public FleetSetupException(string message, Exception? inner)
        : base(message, inner)
    {
    }
}
