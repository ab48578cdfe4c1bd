using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Journal;
using Evacuator.Testing;

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

    /// <summary>A real disk, small and full, or remounted read-only, as ext4 does it by itself when the hardware below fails.</summary>
    [RootTheory]
    [InlineData("full")]
    [InlineData("read-only")]
    public void Write_TheDiskFailsMeanwhile_GoesOnInMemoryWithEverythingAndReturnsToTheDisk(string how)
    {
        using SmallDisk disk = new(Path.Combine(_root, "disk"));
        string run = Path.Combine(_root, "run");
        SourceRecord before = Record();
        using (MoveJournal journal = MoveJournal.Open(disk.Path, run))
        {
            string? told = null;
            journal.OnDegraded = text => told = text;
            journal.Write(before with { Phase = SourcePhase.Copying });
            journal.Write(Arrival());
            if (how == "full")
                disk.Fill();
            else
                disk.MakeReadOnly();
            // What is larger than any page that is free already.
            SourceRecord large = before with { Detail = new string('x', 1 << 20) };
            journal.Write(large);
            journal.Write(large with { Phase = SourcePhase.Removing });

            Assert.StartsWith(run, journal.Path, StringComparison.Ordinal);
            Assert.Contains("does not survive a reboot", told, StringComparison.Ordinal);
            Assert.Equal(SourcePhase.Removing, Assert.Single(journal.ReadSources()).Phase);
            Assert.Single(journal.ReadDestinations());
        }

        // Restarted while it is still so: what is in memory counts, not what the disk has.
        using (MoveJournal journal = MoveJournal.Open(disk.Path, run))
            Assert.Equal(SourcePhase.Removing, Assert.Single(journal.ReadSources()).Phase);
        disk.Repair();
        using MoveJournal home = MoveJournal.Open(disk.Path, run);
        Assert.Null(home.Degraded);
        Assert.Equal(SourcePhase.Removing, Assert.Single(home.ReadSources()).Phase);
    }

    /// <summary>A directory where SQLite needs a file: the database can be read and not be opened, as on a disk that has become read-only.</summary>
    [Fact]
    public void Journal_DiskCanOnlyBeRead_GoesOnWithWhatItHeldAndReturnsToTheDisk()
    {
        string disk = Path.Combine(_root, "disk"), run = Path.Combine(_root, "run");
        using (MoveJournal journal = MoveJournal.Open(disk, run))
            journal.Write(Record());
        Directory.CreateDirectory(Path.Combine(disk, "moves.db-wal"));
        using (MoveJournal journal = MoveJournal.Open(disk, run))
        {
            Assert.Contains(disk, journal.Degraded, StringComparison.Ordinal);
            Assert.Equal(SourcePhase.Released, Assert.Single(journal.ReadSources()).Phase);
            journal.Write(Record() with { Phase = SourcePhase.Removing });
            journal.Write(Arrival());
        }
        // Once more in between: what is newer stays.
        using (MoveJournal journal = MoveJournal.Open(disk, run))
            Assert.Equal(SourcePhase.Removing, Assert.Single(journal.ReadSources()).Phase);

        Directory.Delete(Path.Combine(disk, "moves.db-wal"));
        using MoveJournal again = MoveJournal.Open(disk, run);

        Assert.Null(again.Degraded);
        Assert.Equal(SourcePhase.Removing, Assert.Single(again.ReadSources()).Phase);
        Assert.Single(again.ReadDestinations());
        Assert.Empty(Directory.GetFiles(run));
    }

    [Fact]
    public void Prune_KeepsWhatMayStillBeAskedFor()
    {
        DateTimeOffset now = DateTimeOffset.UnixEpoch.AddYears(1);
        DateTimeOffset old = now - MoveJournal.Memory - TimeSpan.FromHours(1), aWhileAgo = now - MoveJournal.DescriptionMemory - TimeSpan.FromHours(1);
        using MoveJournal journal = MoveJournal.Open(_root, _root);
        journal.Write(Record() with { Updated = old });
        SourceRecord moved = Record(Guid.NewGuid()) with { Phase = SourcePhase.Moved, Updated = old };
        journal.Write(moved);
        DestinationRecord forgotten = Arrival() with { Phase = DestinationPhase.Failed, Updated = old };
        DestinationRecord known = Arrival() with { SourceKnows = true, Updated = aWhileAgo, Description = "large" };
        DestinationRecord unknown = Arrival() with { Updated = old, Description = "large" };
        foreach (DestinationRecord record in (DestinationRecord[])[forgotten, known, unknown])
            journal.Write(record);

        Assert.Equal([moved.Request.MoveId, forgotten.MoveId], journal.Prune(now));

        // Released, and running without its source knowing: for ever.
        Assert.Equal(SourcePhase.Released, Assert.Single(journal.ReadSources()).Phase);
        Assert.Equal([(known.MoveId, null), (unknown.MoveId, "large")], journal.ReadDestinations().Select(record => (record.MoveId, record.Description)));
        Assert.Empty(journal.Prune(now));
    }

    private static DestinationRecord Arrival() => new()
    {
        MoveId = Guid.NewGuid(),
        TokenHash = "",
        SourceNode = "node1",
        Container = "c2",
        MemoryBytes = 1,
        LeaseSeconds = 60,
        Phase = DestinationPhase.Running,
        BootId = "b",
        Updated = DateTimeOffset.UnixEpoch,
    };

    private static SourceRecord Record(Guid id) => Record() with { Request = Record().Request with { MoveId = id } };

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
