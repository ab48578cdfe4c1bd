using System.IO.Compression;
using System.Text.Json;
using System.Text.RegularExpressions;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Health.Messages;
using Evacuator.Testing;

namespace Evacuator.Redfish.Tests.Health;

public sealed class MessageTableTests
{
    /// <summary>One message in the spellings that generations of BMCs give it.</summary>
    [Theory]
    [InlineData("PDR16", "EEMI.PDR16")]
    [InlineData("IDRAC.2.8.PDR16", "EEMI.PDR16")]
    [InlineData("IDRAC.PDR16", "EEMI.PDR16")]
    [InlineData("EEMI.1.0.pdr16", "EEMI.PDR16")]
    [InlineData("Base.1.4.0.Success", "Base.Success")]
    [InlineData("Power.1.0.PowerSupplyFailed", "Power.PowerSupplyFailed")]
    [InlineData("iLOEvents.2.3.DriveSmartError", "iLOEvents.DriveSmartError")]
    [InlineData("FQXSPSD0002G", "Lenovo.FQXSPSD0002G")]
    [InlineData("EventRegistry.1.0.FQXSPSD0002G", "Lenovo.FQXSPSD0002G")]
    [InlineData("Sensor.1.0.ReadingCritical", "SensorEvent.ReadingCritical")]
    [InlineData("OpenBMC.0.1.CPUError", "OpenBMC.CPUError")]
    [InlineData("0xA401FF", "0xA401FF")]
    [InlineData(" PSU0003 ", "EEMI.PSU0003")]
    [InlineData("...", null)]
    [InlineData("", null)]
    [InlineData(null, null)]
    public void Normalize_AnySpelling_IsOneKey(string? id, string? expected) => Assert.Equal(expected, MessageIds.Normalize(id)?.ToString());

    [Fact]
    public void Normalize_AbsurdLength_IsNothing() => Assert.Null(MessageIds.Normalize(new string('A', 100_000)));

    [Theory]
    [InlineData("StorageDevice.1.0.DrivePredictiveFailure", ComponentKind.Drive, SignalKind.PredictedFailure, SignalSeverity.Warning, true)]
    [InlineData("Power.1.0.PowerSupplyPredictiveFailure", ComponentKind.PowerSupply, SignalKind.PredictedFailure, SignalSeverity.Warning, true)]
    [InlineData("MEM0005", ComponentKind.Memory, SignalKind.CorrectableErrorThreshold, SignalSeverity.Critical, true)]
    [InlineData("IDRAC.2.8.MEM0001", ComponentKind.Memory, SignalKind.UncorrectableError, SignalSeverity.Critical, false)]
    [InlineData("iLOEvents.7.2.SASDrivePredictiveFailure", ComponentKind.Drive, SignalKind.PredictedFailure, SignalSeverity.Critical, true)]
    [InlineData("FQXSPMA0011G", ComponentKind.Memory, SignalKind.CorrectableErrorThreshold, SignalSeverity.Warning, true)]
    [InlineData("OpenBMC.0.4.PowerSupplyFailed", ComponentKind.PowerSupply, SignalKind.Failed, SignalSeverity.Critical, false)]
    [InlineData("Environmental.1.0.LeakDetectedCritical", ComponentKind.Coolant, SignalKind.LeakDetected, SignalSeverity.Critical, false)]
    public void Classify_KnownRaise_SaysWhat(string id, ComponentKind component, SignalKind kind, SignalSeverity severity, bool predicted)
    {
        MessageMeaning meaning = MessageTable.Classify(id);
        Assert.Equal((MessageEffect.Raises, component, kind, severity, predicted), (meaning.Effect, meaning.Component, meaning.Kind, meaning.Severity, meaning.Predicted));
    }

    /// <summary>Ids that sound grave, or are grave in their registry, and must never start anything.</summary>
    [Theory]
    [InlineData("PDR24")]
    [InlineData("IDRAC.2.8.PSU0003")]
    [InlineData("PSUA0016")]
    [InlineData("PDR5")]
    [InlineData("PDR1016")]
    [InlineData("HWC8010")]
    [InlineData("MEM0701")]
    [InlineData("TST100")]
    [InlineData("OpenBMC.0.1.MemoryECCCorrectable")]
    [InlineData("iLOEvents.2.3.ResourceUpdated")]
    [InlineData("ResourceEvent.1.0.TestMessage")]
    [InlineData("HeartbeatEvent.1.0.RedfishServiceFunctional")]
    [InlineData("TaskEvent.1.0.TaskCompletedWarning")]
    [InlineData("Base.1.4.0.InternalError")]
    [InlineData("FQXSPMA0001I")]
    [InlineData("MEL-0269")]
    public void Classify_KnownNuisance_IsIgnored(string id) => Assert.Equal(MessageEffect.Ignored, MessageTable.Classify(id).Effect);

    [Theory]
    [InlineData("RDU0001")]
    [InlineData("MEM0700")]
    [InlineData("MEM0021")]
    [InlineData("PDR8")]
    [InlineData("Platform.1.3.PCIeLinkRestored")]
    [InlineData("OpenBMC.0.1.SensorThresholdCriticalHighGoingLow")]
    [InlineData("iLOResourceEvents.7.1.MemoryHealthOk")]
    [InlineData("StorageDevice.1.1.DrivePredictiveFailureCleared")]
    [InlineData("FQXSPSD2002I")]
    public void Classify_GoodNews_OnlyClears(string id) => Assert.Equal(MessageEffect.Clears, MessageTable.Classify(id).Effect);

    [Theory]
    [InlineData("Contoso.1.0.DriveWillFailImminently")]
    [InlineData("0xA401FF")]
    [InlineData("EventLog.1.0.0.Alert")]
    [InlineData("ResourceEvent.1.0.3.ResourceErrorsDetected")]
    [InlineData(null)]
    public void Classify_UnknownOrEmptyOfMeaning_IsUnknown(string? id) => Assert.Equal(MessageEffect.Unknown, MessageTable.Classify(id).Effect);

    [Theory]
    [InlineData("0xA401FF", "[PWR-0001] PS5 Status, Power Supply Failure detected", MessageEffect.Raises)]
    [InlineData("0xA401FF", "Predicted failure: [PWR-0001]", MessageEffect.Unknown)]
    [InlineData("PDR24", "[PWR-0001] x", MessageEffect.Ignored)]
    public void Classify_CodeInText_CountsOnlyAtTheHeadAndWhereTheIdSaysNothing(string id, string text, MessageEffect effect) =>
        Assert.Equal(effect, MessageTable.Classify(id, text).Effect);

    [Fact]
    public void All_EveryRow_IsConsistent()
    {
        Assert.All(MessageTable.All, row =>
        {
            if (row.Effect == MessageEffect.Raises)
            {
                Assert.Single(row.Kinds);
                Assert.True(row.Severity >= SignalSeverity.Warning, row.Key.ToString());
            }
            else
            {
                Assert.Equal(SignalSeverity.None, row.Severity);
                Assert.False(row.Predicted, row.Key.ToString());
            }
            if (row.Predicted)
                Assert.Contains(row.Kind, (SignalKind[])[SignalKind.PredictedFailure, SignalKind.MediaWear, SignalKind.CorrectableErrorThreshold]);
        });
        Assert.True(MessageTable.All.Count() > 600);
    }

    /// <summary>Ids that are in none of the registries at hand, each with the reason why the table has them.</summary>
    private static readonly Dictionary<string, string> NotInRegistries = new()
    {
        ["Supermicro.PWR-0001"] = "a code in the text of log entries; the registry holds maintenance messages only",
        ["OpenBMC.DriveErrorNormal"] = "the counterpart that dbus-sensors emits for DriveError",
    };

    [SharedDataFact]
    public void All_EveryId_ExistsInTheRegistries()
    {
        HashSet<string> known = RegistryKeys();
        string[] missing = [.. MessageTable.All.Select(row => row.Key.ToString()).Where(key => !known.Contains(key) && !NotInRegistries.ContainsKey(key)).Order(StringComparer.Ordinal)];
        Assert.Empty(missing);
    }

    [SharedDataFact]
    public void All_ClearsOfARegistry_AreNeverRaisesHere()
    {
        // What a registry grades OK is good news or no news.
        List<string> wrong = [];
        foreach ((string key, string severity) in RegistrySeverities())
            if (severity.Equals("OK", StringComparison.OrdinalIgnoreCase) && MessageTable.Classify(key).Effect == MessageEffect.Raises)
                wrong.Add(key);
        Assert.Empty(wrong);
    }

    [SharedDataFact]
    public void Classify_EveryPushedSample_IsKnown()
    {
        string[] files = Directory.GetFiles(Path.Combine(Prerequisites.SharedRedfish!, "events", "push"), "*.json");
        string[] ids = [.. files.SelectMany(file => Regex.Matches(File.ReadAllText(file), "\"MessageI[dD]\"\\s*:\\s*\"([^\"]+)\"").Select(match => match.Groups[1].Value)).Distinct()];
        Assert.True(ids.Length >= 8);
        Assert.DoesNotContain(ids, id => MessageTable.Classify(id).Effect == MessageEffect.Unknown);
    }

    private static HashSet<string> RegistryKeys() =>
        [.. RegistrySeverities().Select(pair => MessageIds.Normalize(pair.Key)!.ToString())];

    private static IEnumerable<(string Key, string Severity)> RegistrySeverities()
    {
        foreach (string file in Directory.EnumerateFiles(Path.Combine(Prerequisites.SharedRedfish!, "registries"), "*.json*", SearchOption.AllDirectories))
        {
            if (!Regex.IsMatch(file, @"\.json(\.gz)?$"))
                continue;
            using Stream raw = File.OpenRead(file);
            using Stream text = file.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(raw, CompressionMode.Decompress) : raw;
            using JsonDocument registry = JsonDocument.Parse(text);
            if (!registry.RootElement.TryGetProperty("RegistryPrefix", out JsonElement prefix) || !registry.RootElement.TryGetProperty("Messages", out JsonElement messages))
                continue;
            foreach (JsonProperty message in messages.EnumerateObject())
                yield return ($"{prefix.GetString()}.1.0.{message.Name}", Severity(message.Value));
        }
    }

    private static string Severity(JsonElement message)
    {
        foreach (string name in (string[])["MessageSeverity", "Severity"])
            if (message.ValueKind == JsonValueKind.Object && message.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String)
                return value.GetString()!;
        return "";
    }
}
