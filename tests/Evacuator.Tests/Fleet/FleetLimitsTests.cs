using Evacuator.Common.Configuration;
using Evacuator.Fleet.Locks;

namespace Evacuator.Tests.Fleet;

/// <summary>The one decision behind lock and share.</summary>
public sealed class FleetLimitsTests
{
    private static readonly FleetLimits Any = new(0, 0, 0, 100);

    [Theory]
    // slots (name@zone), asks that go before, limit, limit per zone → what the reason speaks of; empty: granted. The asking node is n1 in zone a.
    [InlineData("", "", 1, 0, "")]
    [InlineData("n2@b", "", 1, 0, "max-emptied)")]
    [InlineData("n2@b", "", 2, 0, "")]
    [InlineData("n1@a", "", 1, 1, "")]
    [InlineData("n2@b", "", 0, 1, "")]
    [InlineData("n2@a", "", 0, 1, "max-emptied-per-zone)")]
    [InlineData("n2@a", "", 0, 2, "")]
    [InlineData("", "n2@b", 1, 0, "max-emptied)")]
    [InlineData("", "n2@b", 2, 0, "")]
    [InlineData("n3@c", "n2@b", 2, 0, "max-emptied)")]
    // The one before it cannot begin, since its zone is full: it does not hold this one up.
    [InlineData("n3@b", "n2@b", 2, 1, "")]
    [InlineData("n3@b", "n2@a", 3, 1, "max-emptied-per-zone)")]
    public void WhyNot_SlotsAndAsks_Table(string slots, string asks, int limit, int perZone, string about)
    {
        FleetPicture picture = new(
            [],
            [.. Split(slots).Select(pair => new FleetSlot(pair.Node, Guid.NewGuid(), pair.Zone, DateTimeOffset.UnixEpoch, "", "", false))],
            [.. Split(asks).Select(pair => new FleetAsk(pair.Node, Guid.NewGuid(), pair.Zone, 1, DateTimeOffset.UnixEpoch, false))]);
        string? why = new FleetLimits(limit, perZone, 0, 0).WhyNot(Ask(), picture);

        if (about.Length == 0)
            Assert.Null(why);
        else
            Assert.Contains(about, why, StringComparison.Ordinal);
    }

    [Theory]
    // Ten nodes of 100 each; the first asks. Closed, silent and out ones besides → whether it may, with this minimum.
    [InlineData(0, 0, 0, 90, true)]
    [InlineData(0, 0, 0, 91, false)]
    [InlineData(1, 0, 0, 90, false)]
    [InlineData(1, 1, 1, 60, true)]
    [InlineData(1, 1, 1, 61, false)]
    public void WhyNot_HealthyMemory_Table(int closed, int silent, int slots, int least, bool granted)
    {
        List<FleetNode> nodes = [.. Enumerable.Range(1, 10).Select(number => new FleetNode($"n{number}", "", 100, NodeCondition.Open))];
        int next = 1;
        for (int i = 0; i < closed; i++, next++)
            nodes[next] = nodes[next] with { Condition = NodeCondition.Closed };
        for (int i = 0; i < silent; i++, next++)
            nodes[next] = nodes[next] with { Condition = NodeCondition.Silent };
        List<FleetSlot> taken = [.. Enumerable.Range(next, slots).Select(index => new FleetSlot(nodes[index].Name, Guid.NewGuid(), "", DateTimeOffset.UnixEpoch, "", "", false))];

        string? why = (Any with { MinHealthyPercent = least }).WhyNot(Ask(), new FleetPicture(nodes, taken, []));
        Assert.Equal(granted, why is null);
        if (why is not null)
            Assert.Contains("min-healthy", why, StringComparison.Ordinal);
    }

    [Fact]
    public void WhyNot_NodeThatWasNeverHeardOf_IsAnAverageOneThatIsAway()
    {
        FleetNode[] nodes = [new("n1", "", 100, NodeCondition.Open), new("n2", "", 100, NodeCondition.Open), new("n3", "", 0, NodeCondition.Silent)];

        Assert.Null((Any with { MinHealthyPercent = 33 }).WhyNot(Ask(), new FleetPicture(nodes, [], [])));
        Assert.Contains("n3 does not answer", (Any with { MinHealthyPercent = 34 }).WhyNot(Ask(), new FleetPicture(nodes, [], [])), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(25, 0, true)]
    [InlineData(25, 1, false)]
    [InlineData(50, 1, true)]
    [InlineData(50, 2, false)]
    [InlineData(0, 0, false)]
    public void WhyNot_Share_HoldsForAutomaticEvacuationsOnly(int percent, int silent, bool granted)
    {
        FleetNode[] nodes = [.. Enumerable.Range(1, 4).Select(number => new FleetNode($"n{number}", "", 100, number > 4 - silent ? NodeCondition.Silent : NodeCondition.Open))];
        FleetLimits limits = Any with { SharePercent = percent };

        Assert.Equal(granted, limits.WhyNot(Ask() with { Automatic = true }, new FleetPicture(nodes, [], [])) is null);
        Assert.Null(limits.WhyNot(Ask(), new FleetPicture(nodes, [], [])));
    }

    [Fact]
    public void WhyNot_ClaimsWithoutTransactions_CountWhoeverGoesFirst()
    {
        FleetPicture picture = new([], [], [new FleetAsk("n2", Guid.NewGuid(), "", 0, DateTimeOffset.MaxValue, false)]);

        Assert.Null(new FleetLimits(1, 0, 0, 0).WhyNot(Ask(), picture));
        Assert.NotNull(new FleetLimits(1, 0, 0, 0).WhyNot(Ask(), picture, claims: true));
    }

    [Theory]
    // A share of the fleet, rounded down, and one node at least.
    [InlineData("5%", 1000, 50)]
    [InlineData("5 %", 39, 1)]
    [InlineData("5%", 41, 2)]
    [InlineData("5%", 3, 1)]
    [InlineData("100%", 7, 7)]
    [InlineData("3", 1000, 3)]
    [InlineData("0", 1000, 0)]
    public void Of_NumberOrShare_Places(string setting, int nodes, int places)
    {
        Assert.True(NodeCount.TryParse(setting, 1000, out NodeCount count));
        FleetLimits limits = FleetLimits.Of(new EvacuatorOptions { Fleet = new FleetOptions { MaxEmptied = count } }, nodes);

        Assert.Equal(places, limits.MaxEmptied);
        if (count.IsPercent)
            Assert.Contains($"% of {nodes} nodes", limits.NoPlace(["n1"], 1), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0%")]
    [InlineData("101%")]
    [InlineData("-1")]
    [InlineData("1001")]
    [InlineData("5.5%")]
    [InlineData("%")]
    [InlineData("5%%")]
    public void NodeCount_WhatIsNone_IsRefused(string text) => Assert.False(NodeCount.TryParse(text, 1000, out _));

    /// <summary>Whoever waits decides for each of those before it whether they could begin.</summary>
    [Fact]
    public void WhyNot_AThousandThatAskUnderEveryLimit_CountsEachOnce()
    {
        FleetNode[] nodes = [.. Enumerable.Range(0, 1000).Select(number => new FleetNode($"n{number:000}", $"z{number % 10}", 100 + number % 3 * 50, number % 100 == 99 ? NodeCondition.Silent : NodeCondition.Open))];
        FleetAsk[] asks = [.. nodes.Select((node, number) => new FleetAsk(node.Name, Guid.NewGuid(), node.Zone, 0, DateTimeOffset.UnixEpoch.AddSeconds(number), Automatic: number % 2 == 0))];
        FleetLimits limits = new(50, 5, 94, 6);
        FleetPicture picture = new(nodes, [], asks);
        string[] first = [.. asks.Where(ask => limits.WhyNot(ask, picture) is null).Select(ask => ask.Node)];

        // The same as if each took its place in turn.
        List<FleetSlot> slots = [];
        foreach (FleetAsk ask in asks)
        {
            if (limits.WhyNot(ask, new FleetPicture(nodes, slots, [])) is null)
                slots.Add(new FleetSlot(ask.Node, ask.EvacuationId, ask.Zone, ask.Since, "", "", false));
        }

        Assert.Equal(slots.Select(slot => slot.Node), first);
        Assert.InRange(first.Length, 30, 50);
    }

    private static FleetAsk Ask() => new("n1", Guid.NewGuid(), "a", 0, DateTimeOffset.UnixEpoch.AddDays(1), Automatic: false);

    private static IEnumerable<(string Node, string Zone)> Split(string text) =>
        text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('@')).Select(parts => (parts[0], parts[1]));
}
