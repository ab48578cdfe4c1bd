using System.Text;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Tests.Resources;
using Evacuator.Testing;

namespace Evacuator.Redfish.Tests.Health;

/// <summary>
/// Ten thousand damaged trees (910 of each given one): no exception comes out of the library, and taking data away never makes a signal. Seeds are fixed; a failure names its mutant.
/// </summary>
public sealed class MutationTests
{
    private const int MutantsPerTree = 910;

    public static TheoryData<string> Names => [.. TreeExpectations.All.Select(each => each.Tree)];

    [SharedDataTheory]
    [MemberData(nameof(Names))]
    public Task Walk_DamagedGivenTree_NeitherThrowsNorInvents(string name) =>
        DamageAsync(TreeTests.Tree(name), TreeExpectations.All.Single(each => each.Tree == name).System, name, MutantsPerTree);

    [Fact]
    public Task Walk_DamagedModelTree_NeitherThrowsNorInvents() => DamageAsync(Nuisances().Reader(), ModelTree.System, "model", 1000);

    /// <summary>Damage to the resources by which a host finds itself: never an exception, never another machine.</summary>
    [SharedDataTheory]
    [MemberData(nameof(Names))]
    public async Task Find_DamagedGivenTree_NeitherThrowsNorMistakes(string name)
    {
        TreeReader tree = TreeTests.Tree(name);
        SystemMatch whole = await SystemMatch.FindAsync(tree, HostIdentity.Unknown, null, CancellationToken.None);
        HostIdentity host = new(whole.System?.Text("UUID"), whole.System?.Text("SerialNumber"));
        string[] read = [.. tree.Reads.Keys.Where(tree.Keys.Contains).Order(StringComparer.Ordinal)];
        ParsedTree parsed = new(tree);
        Random random = new(20260302);
        MutationKind[] kinds = Enum.GetValues<MutationKind>();
        for (int mutant = 0; mutant < 300; mutant++)
        {
            string key = read[random.Next(read.Length)];
            MutationKind kind = kinds[random.Next(kinds.Length)];
            parsed.Damage(key, Mutation.Apply(Encoding.UTF8.GetString(tree.Body(key).Span), kind, random));
            SystemMatch damaged = await SystemMatch.FindAsync(parsed, host, null, CancellationToken.None);
            if (Mutation.OnlyRemoves(kind) && damaged.Outcome == MatchOutcome.Unique)
                Assert.Equal(whole.System!.Id ?? "", damaged.System!.Id ?? whole.System.Id ?? "");
        }
    }

    /// <summary>Flipped, lost and repeated bytes: a body is read or refused, and what was read can be asked anything.</summary>
    [Fact]
    public void Parse_DamagedBytes_NeverThrows()
    {
        TreeReader tree = Nuisances().Reader();
        Random random = new(20260303);
        string[] keys = [.. tree.Keys.Order(StringComparer.Ordinal)];
        for (int mutant = 0; mutant < 20_000; mutant++)
        {
            byte[] body = tree.Body(keys[random.Next(keys.Length)]).ToArray();
            for (int flips = random.Next(1, 8); flips > 0; flips--)
                body[random.Next(body.Length)] = random.Next(3) == 0 ? (byte)"{}[]\",:\\u\0"[random.Next(10)] : (byte)random.Next(256);
            if (RedfishResource.TryParse(body, "/x", null, out _) is not { } resource)
                continue;
            foreach (string name in resource.PropertyNames.ToArray())
            {
                _ = resource.Text(name);
                _ = resource.Number(name);
                _ = resource.Flag(name);
                _ = resource.Links(name);
                _ = resource.Items(name).Select(item => item.Uri).Count();
            }
        }
    }

    /// <summary>The model tree with everything in it that looks bad and is none, and a little that is.</summary>
    private static ModelTree Nuisances() => ModelTree.Healthy()
        .Status(ModelTree.System, "Enabled", "Critical")
        .Set(ModelTree.Supply, "Status", """{"State":"Absent","Health":"Critical"}""").Drop(ModelTree.Supply, "SerialNumber")
        .Status(ModelTree.Fan, "Disabled", "Critical")
        .Status(ModelTree.Manager, "Starting", "Critical")
        .Status(ModelTree.Leak, "Absent", "Critical")
        .Status(ModelTree.Sensor, "Enabled", "Critical").Set(ModelTree.Sensor, "Reading", "-524288.199")
        .Put(ModelTree.Drive, """{"Id":"M2_0","Name":"M2_0","Model":"","SerialNumber":"","FailurePredicted":true,"PredictedMediaLifeLeftPercent":0,"Status":{"State":"Absent","Health":"Critical"}}""")
        .Set(ModelTree.Storage + "/Drives/Disk1", "PredictedMediaLifeLeftPercent", "1")
        .Set(ModelTree.Dimm, "Status/Conditions", """[{"MessageId":"Platform.1.0.MemoryContainedError"},{"MessageId":"PDR24","Message":"predicted"}]""")
        .Set(ModelTree.Metrics, "HealthData/AlarmTrips/CorrectableECCError", "true");

    private static async Task DamageAsync(TreeReader tree, string system, string name, int mutants)
    {
        ParsedTree parsed = new(tree);
        HealthReading whole = await WalkAsync(parsed, system);
        string[] read = [.. parsed.Asked.Order(StringComparer.Ordinal)];
        Random random = new(20260301);
        MutationKind[] kinds = Enum.GetValues<MutationKind>();
        for (int mutant = 0; mutant < mutants; mutant++)
        {
            string key = read[random.Next(read.Length)];
            MutationKind kind = kinds[random.Next(kinds.Length)];
            string? json = Mutation.Apply(Encoding.UTF8.GetString(tree.Body(key).Span), kind, random);
            parsed.Damage(key, json);
            HealthReading damaged = await WalkAsync(parsed, system);
            if (Mutation.OnlyRemoves(kind))
                foreach (Signal signal in damaged.Signals)
                    Assert.True(whole.Signals.Any(known => IsSame(known, signal)), $"{name} mutant {mutant}, {kind} in {key}: invented {signal}");
        }
    }

    private static Task<HealthReading> WalkAsync(IResourceReader reader, string system) => TreeTests.WalkAsync(reader, system);

    // A part that loses its own URI or its twin is known by the other, an item of a shortened array by its name.
    private static bool IsSame(Signal known, Signal signal) => known.Kind == signal.Kind
        && (Uris(known).Intersect(Uris(signal)).Any() || known.Name == signal.Name && RedfishUri.Same(known.Part, signal.Part));

    private static IEnumerable<string> Uris(Signal signal) =>
        new[] { signal.Part, signal.Evidence }.Concat(signal.AlsoAt).Select(uri => uri.Replace("#/", "#", StringComparison.Ordinal).TrimEnd('/').ToLowerInvariant());

    /// <summary>A tree whose resources are parsed once, but for the damaged one: walks are cheap enough for thousands.</summary>
    private sealed class ParsedTree : IResourceReader
    {
        private readonly Dictionary<string, ReadResult> _results;
        private string? _damagedKey;
        private ReadResult? _damaged;

        public ParsedTree(TreeReader tree) =>
            _results = tree.Keys.ToDictionary(key => key, key => Parse(key, tree.Body(key)));

        public HashSet<string> Asked { get; } = [];

        public void Damage(string key, string? json)
        {
            _damagedKey = key;
            _damaged = json is null ? ReadResult.Failed(ReadOutcome.NotFound, "HTTP 404") : Parse(key, Encoding.UTF8.GetBytes(json));
        }

        public Task<ReadResult> ReadAsync(string uri, CancellationToken cancel)
        {
            string key = RedfishUri.Key(uri);
            if (key == _damagedKey)
                return Task.FromResult(_damaged!);
            if (!_results.TryGetValue(key, out ReadResult? result))
                return Task.FromResult(ReadResult.Failed(ReadOutcome.NotFound, "HTTP 404"));
            Asked.Add(key);
            return Task.FromResult(result);
        }

        private static ReadResult Parse(string key, ReadOnlyMemory<byte> body) =>
            RedfishResource.TryParse(body, key, null, out string problem) is { } resource ? ReadResult.Found(resource) : ReadResult.Failed(ReadOutcome.Malformed, problem);
    }
}
