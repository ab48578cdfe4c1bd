using Evacuator.Redfish.Health;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Tests.Resources;
using Evacuator.Testing;

namespace Evacuator.Redfish.Tests.Health;

public sealed class TreeTests
{
    public static TheoryData<string> Names => [.. TreeExpectations.All.Select(each => each.Tree)];

    [SharedDataFact]
    public void Expectations_EveryGivenTree_HasOne() =>
        Assert.Equal(
            Directory.GetDirectories(Mockups).Select(Path.GetFileName).Order(StringComparer.Ordinal),
            TreeExpectations.All.Select(each => each.Tree).Order(StringComparer.Ordinal));

    [SharedDataTheory]
    [MemberData(nameof(Names))]
    public async Task Walk_GivenTree_FindsWhatIsThereAndNothingElse(string name)
    {
        TreeExpectation expected = TreeExpectations.All.Single(each => each.Tree == name);
        TreeReader tree = Tree(name);
        HealthReading reading = await WalkAsync(tree, expected.System);

        Assert.Equal(expected.Signals.Order(StringComparer.Ordinal), reading.Signals.Select(signal => Text(signal, expected.Signals)).Order(StringComparer.Ordinal));
        foreach (string silent in expected.Silent)
        {
            string end = silent[..silent.IndexOf(": ", StringComparison.Ordinal)];
            Assert.DoesNotContain(reading.Signals, signal => signal.Evidence.EndsWith(end, StringComparison.Ordinal));
        }
        foreach (string present in expected.Present)
            Assert.Equal(present, $"{present.Split(' ')[0]} {reading.Components.Count(part => part.Counts && part.Kind.ToString() == present.Split(' ')[0])}");
        Assert.Equal(expected.Essentials, reading.KnowsEssentials);
    }

    [SharedDataTheory]
    [MemberData(nameof(Names))]
    public async Task Walk_GivenTree_AsksForEachResourceOnce(string name)
    {
        TreeReader tree = Tree(name);
        HealthReading reading = await WalkAsync(tree, TreeExpectations.All.Single(each => each.Tree == name).System);
        Assert.All(tree.Reads, read => Assert.Equal(1, read.Value));
        Assert.Equal(tree.Requests, reading.Requests);
    }

    [SharedDataTheory]
    [MemberData(nameof(Names))]
    public async Task Walk_GivenTreeTwice_GivesTheSameKeys(string name)
    {
        string system = TreeExpectations.All.Single(each => each.Tree == name).System;
        HealthReading first = await WalkAsync(Tree(name), system);
        HealthReading second = await WalkAsync(Tree(name), system);
        Assert.Equal(first.Signals.Select(signal => signal.Key), second.Signals.Select(signal => signal.Key));
        Assert.Equal(first.Signals.Count, first.Signals.Select(signal => signal.Key).Distinct().Count());
    }

    private static string Mockups => Path.Combine(Prerequisites.SharedRedfish!, "mockups");

    internal static TreeReader Tree(string name) => TreeReader.FromFolder(Path.Combine(Mockups, name, "tree"));

    internal static Task<HealthReading> WalkAsync(IResourceReader tree, string system) =>
        HealthWalk.RunAsync(tree, new HealthScope(system), null, TimeProvider.System, CancellationToken.None);

    // The evidence is cut to the length that the table gives for it, so that the table stays readable.
    private static string Text(Signal signal, string[] expected)
    {
        string head = $"{signal.Component}|{signal.Name}|{signal.Kind}|{signal.Severity}|{(signal.Predicted ? "predicted" : "present")}|";
        string? match = expected.FirstOrDefault(each => each.StartsWith(head, StringComparison.Ordinal) && signal.Evidence.EndsWith(each[head.Length..], StringComparison.Ordinal));
        return match ?? head + signal.Evidence;
    }
}
