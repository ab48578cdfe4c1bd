using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Journal;

namespace Evacuator.NodeAgent.Tests.Journal;

public sealed class MoveJournalTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("evacuator-test-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Record_AfterReopening_IsAsItWasWritten()
    {
        SourceRecord written = Record();
        using (MoveJournal journal = MoveJournal.Open(_root, _root))
        {
            journal.Write(written with { Phase = SourcePhase.Copying });
            journal.Write(written);
        }

        using MoveJournal again = MoveJournal.Open(_root, _root);
        SourceRecord read = Assert.Single(again.ReadSources());
        Assert.Equal(written.Request, read.Request);
        Assert.Equal(written.Phase, read.Phase);
        Assert.Equal(written.FreezeParts, read.FreezeParts);
        Assert.Equal(written.Started, read.Started);
        Assert.Empty(again.ReadDestinations());
        Assert.Null(again.Degraded);
    }

    [Fact]
    public void Journal_DiskCannotBeWritten_LivesOnTheFallbackAndSaysSo()
    {
        // A file where the directory should be: as unwritable as a broken disk, also for root.
        string broken = Path.Combine(_root, "broken");
        File.WriteAllText(broken, "");
        string fallback = Path.Combine(_root, "run");

        using MoveJournal journal = MoveJournal.Open(broken, fallback);
        journal.Write(Record());

        Assert.Contains(broken, journal.Degraded);
        Assert.Single(journal.ReadSources());
    }

    private static SourceRecord Record() => new()
    {
        Request = new MoveRequest
        {
            MoveId = Guid.Parse("11111111-2222-3333-4444-555555555555"),
            EvacuationId = Guid.Parse("66666666-2222-3333-4444-555555555555"),
            Container = "c1",
            DestinationNode = "node2",
            DestinationAddress = "127.0.0.1",
            Token = "t",
            FreezeBudgetMs = 300,
        },
        Phase = SourcePhase.Released,
        BootId = "b",
        Started = DateTimeOffset.UnixEpoch,
        Updated = DateTimeOffset.UnixEpoch,
        FreezeParts = new Dictionary<string, double> { ["freeze"] = 3.5 },
    };
}
