using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Testing;

namespace Evacuator.Tests.Cli;

public sealed class FollowLinesTests
{
    private readonly ManualTime _time = new(new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero));

    [Fact]
    public void Lines_NothingChanges_AreNotRepeated()
    {
        FollowLines lines = new(TimeSpan.FromSeconds(15), _time);
        EvacuationReport report = Report(Moving("web", SourcePhase.Copying, sent: 5120), Moving("db", SourcePhase.Copying));

        Assert.Equal(["12:00:00Z  moving: 0 of 2", "12:00:00Z  web: copying → node2, 5 KiB sent", "12:00:00Z  db: copying → node2"], lines.Of(null, report));
        List<string> later = [];
        for (int turn = 0; turn < 120; turn++)
        {
            _time.Advance(TimeSpan.FromMilliseconds(500));
            later.AddRange(lines.Of(report, report));
        }

        // A sign of life each quarter of a minute.
        Assert.Equal(["12:00:15Z  still moving: web, db", "12:00:30Z  still moving: web, db", "12:00:45Z  still moving: web, db", "12:01:00Z  still moving: web, db"], later);
    }

    [Fact]
    public void Lines_BytesGoOn_AreShownOncePerQuietTimeAndOnlyForThatContainer()
    {
        FollowLines lines = new(TimeSpan.FromSeconds(15), _time);
        EvacuationReport first = Report(Moving("web", SourcePhase.Copying, sent: 5120), Moving("db", SourcePhase.Copying));
        EvacuationReport second = Report(Moving("web", SourcePhase.Copying, sent: 9216), Moving("db", SourcePhase.Copying));
        lines.Of(null, first);

        Assert.Empty(lines.Of(first, second));
        _time.Advance(TimeSpan.FromSeconds(15));
        Assert.Equal(["12:00:15Z  web: copying → node2, 9 KiB sent"], lines.Of(second, second));
    }

    [Fact]
    public void Lines_NewNote_IsShownOnce()
    {
        FollowLines lines = new(TimeSpan.FromSeconds(15), _time);
        EvacuationReport before = Report(), after = before with { Notes = ["something"] };
        lines.Of(null, before);

        Assert.Equal(["12:00:00Z  note: something"], lines.Of(before, after));
        Assert.Empty(lines.Of(after, after));
    }

    [Fact]
    public void Of_NothingChangesForLong_TellsWhatThereIsToSendAndTheTimeLeftAsStatusDoes()
    {
        FollowLines lines = new(TimeSpan.FromSeconds(15), _time);
        EvacuationReport report = Report(Moving("web", SourcePhase.Copying, sent: 284 << 20) with { MemoryBytes = 256 << 20, DiskBytes = 1 << 20 }) with { EtaSeconds = 133.2 };
        _ = lines.Of(null, report);
        _time.Advance(TimeSpan.FromSeconds(15));

        Assert.Equal(["12:00:15Z  web: copying → node2, 285 MiB sent (it has about 257 MiB)", "12:00:15Z  about 2min 13s more for the moves"],
            lines.Of(report, report with { Containers = [report.Containers[0] with { BytesSent = 285 << 20 }] }));
    }

    private static ContainerMove Moving(string name, SourcePhase step, long sent = 0) => new()
    {
        Name = name, From = "node1", To = "node2", State = MovePhase.Moving, Step = step, MemoryBytes = 0, BytesSent = sent, Rounds = 0, FreezeParts = new Dictionary<string, double>(),
        Blockers = [], Refusals = [], Detail = "",
    };

    internal static EvacuationReport Report(params ContainerMove[] moves) => new()
    {
        Id = Guid.NewGuid(), Node = "node1", State = EvacuationPhase.Moving, Summary = $"moving: 0 of {moves.Length}", Trigger = TriggerKind.Operator, Reason = "x", RequestedBy = "root",
        Started = default, TotalSeconds = 0, Problem = "", Containers = moves, ExcludedPeers = [], Emptiness = new EmptinessProof(false, []),
        Power = new PowerReport(false, null, null, null, null, false), Notes = [],
    };
}
