using Evacuator.Cli;
using Evacuator.Evacuation;
using Evacuator.Journal;

namespace Evacuator.Tests.Cli;

/// <summary>What a technician reads before a host is opened.</summary>
public sealed class SafeToPullTests
{
    private static readonly DateTimeOffset s_seen = new(2026, 3, 1, 4, 0, 0, TimeSpan.Zero);

    [Theory]
    [InlineData(false, "  SAFE TO PULL")]
    [InlineData(true, "  NOT SAFE TO PULL any more: node1 has been switched on since")]
    public void Report_OfTheWitness_SaysWhetherTheHostHasAnsweredSince(bool isUpAgain, string told)
    {
        EvacuationReport report = ReportBuilder.Complete(new WitnessState
        {
            EvacuationId = Guid.NewGuid(), Node = "node1", Phase = WitnessPhase.VerifiedOff, BmcUrl = "https://bmc1", Started = s_seen, Until = s_seen, LastPowerState = "Off", LastRead = s_seen,
            Report = FollowLinesTests.Report() with { Power = new PowerReport(true, "node2", null, null, null, false) },
        }, "node2", isUpAgain);

        Assert.Contains(told, Lines(report));
    }

    [Fact]
    public void Report_OfTheHostItself_SaysThatItRuns() =>
        Assert.Contains("  NOT SAFE TO PULL any more: node1 has been switched on since",
            Lines(FollowLinesTests.Report() with { State = EvacuationPhase.Done, Power = new PowerReport(true, "node2", "Off", "node2", s_seen, false) }));

    private static string[] Lines(EvacuationReport report)
    {
        using StringWriter shown = new();
        Show.Report(report, shown);
        return shown.ToString().Split('\n');
    }
}
