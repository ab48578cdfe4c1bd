using Evacuator.Journal;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;
using Microsoft.Data.Sqlite;

namespace Evacuator.Tests.Journal;

public sealed class JournalStoreTests : IDisposable
{
    private readonly string _disk = Directory.CreateTempSubdirectory("evacuator-journal-").FullName;
    private readonly string _memory = Directory.CreateTempSubdirectory("evacuator-journal-").FullName;

    public void Dispose()
    {
        Directory.Delete(_disk, recursive: true);
        Directory.Delete(_memory, recursive: true);
    }

    [Fact]
    public void Write_ThenOpenedAgain_AllIsThere()
    {
        EvacuationState state = State();
        using (JournalStore first = JournalLocation.Open(_disk, _memory))
        {
            first.Write(state, [Move(state, "b", 1), Move(state, "a", 0)]);
            first.Write(null, [Move(state, "a", 0) with { Phase = MovePhase.Moved, Token = null }]);
            first.SetFact("x", "1");
        }

        using JournalStore second = JournalLocation.Open(_disk, _memory);
        Assert.Equal(state.Trigger, second.Evacuation(state.Id)!.Trigger);
        Assert.Equal(state.Id, second.EvacuationByTrigger("k")!.Id);
        Assert.Equal([("a", MovePhase.Moved), ("b", MovePhase.Planned)], second.Moves(state.Id).Select(move => (move.Name, move.Phase)));
        Assert.Equal("1", second.Fact("x"));
        Assert.Empty(second.Notices);
    }

    [Fact]
    public void Write_TheSameTriggerForTwoEvacuations_IsRefused()
    {
        using JournalStore store = JournalLocation.Open(_disk, _memory);
        store.Write(State(), []);
        Assert.Throws<JournalException>(() => store.Write(State(), []));
    }

    [Fact]
    public void Open_JournalOfANewerVersion_IsRefusedAndNotReplaced()
    {
        using (JournalStore store = JournalLocation.Open(_disk, _memory))
        {
        }

        using (SqliteConnection connection = new($"Data Source={Path.Combine(_disk, JournalLocation.FileName)};Pooling=False"))
        {
            connection.Open();
            using SqliteCommand command = connection.CreateCommand();
            command.CommandText = $"PRAGMA user_version={JournalStore.SchemaVersion + 1}";
            command.ExecuteNonQuery();
        }

        JournalException refused = Assert.Throws<JournalException>(() => JournalLocation.Open(_disk, _memory));
        Assert.Contains("upgrade the package", refused.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(_memory, JournalLocation.FileName)));
    }

    [Fact]
    public void Open_DiskThatCannotBeWritten_GoesToMemoryAndSaysSo()
    {
        // A file where the folder should be: root may write through modes, not through this.
        string notAFolder = Path.Combine(_disk, "file");
        File.WriteAllText(notAFolder, "");
        using JournalStore store = JournalLocation.Open(notAFolder, _memory);
        store.Write(State(), []);
        Assert.Contains("not of the host", Assert.Single(store.Notices), StringComparison.Ordinal);
        Assert.StartsWith(_memory, store.Path, StringComparison.Ordinal);
    }

    [RootTheory]
    [InlineData("full")]
    [InlineData("read-only")]
    public void Write_DiskFailsMeanwhile_GoesOnInMemoryWithEverythingAndComesHomeLater(string how)
    {
        using SmallDisk disk = new(Path.Combine(_disk, "small"));
        EvacuationState before = State();
        EvacuationState after = State() with { Trigger = before.Trigger with { Key = "k2" }, Problem = new string('x', 1 << 20) };
        using (JournalStore store = JournalLocation.Open(disk.Path, _memory))
        {
            store.Write(before, [Move(before, "a", 0)]);
            if (how == "full")
                disk.Fill();
            else
                disk.MakeReadOnly();
            store.Write(after, []);
            Assert.StartsWith(_memory, store.Path, StringComparison.Ordinal);
            Assert.Contains("survives a restart of the service, not of the host", Assert.Single(store.Notices), StringComparison.Ordinal);
            Assert.Equal(2, store.Evacuations().Count);
            Assert.Single(store.Moves(before.Id));
        }

        disk.Repair();
        using JournalStore home = JournalLocation.Open(disk.Path, _memory);
        Assert.StartsWith(disk.Path, home.Path, StringComparison.Ordinal);
        Assert.Equal(2, home.Evacuations().Count);
        Assert.Empty(home.Notices);
        Assert.False(File.Exists(Path.Combine(_memory, JournalLocation.FileName)));
    }

    [Fact]
    public void Open_JournalOfTheFirstVersion_IsReadForEver()
    {
        // Written once by schema 1 and never again: what is in it has to be understood by every later version.
        string path = Path.Combine(_disk, JournalLocation.FileName);
        using (JournalStore store = JournalStore.Open(path))
        {
        }

        using (SqliteConnection connection = new($"Data Source={path};Pooling=False"))
        {
            connection.Open();
            using SqliteCommand command = connection.CreateCommand();
            command.CommandText = """
                INSERT INTO evacuations VALUES ('7d9f4c9e-6f0a-4f0e-9b52-0d8f1c2b3a4d', 'operator:1', 3, '2026-01-02T03:04:05.0000000Z',
                '{"id":"7d9f4c9e-6f0a-4f0e-9b52-0d8f1c2b3a4d","node":"node1","bootId":"b","trigger":{"kind":"operator","key":"operator:1","reason":"r","ticket":null,"requestedBy":"root","powerOff":true,"forceAfter":"00:05:00"},"phase":"moving","started":"2026-01-02T03:04:05+00:00","updated":"2026-01-02T03:04:06+00:00","ended":null,"passes":1,"excludedPeers":[{"name":"node3","code":"peer-unreachable","reason":"down"}],"proof":[],"witness":null,"led":null,"power":null,"problem":"","cancelledBy":null,"notes":[]}')
                """;
            command.ExecuteNonQuery();
        }

        using JournalStore again = JournalStore.Open(path);
        EvacuationState state = Assert.Single(again.Evacuations());
        Assert.Equal((EvacuationPhase.Moving, TimeSpan.FromMinutes(5), "node3"), (state.Phase, state.Trigger.ForceAfter, state.ExcludedPeers[0].Name));
    }

    private static EvacuationState State() => new()
    {
        Id = Guid.NewGuid(),
        Node = "node1",
        BootId = "boot-1",
        Trigger = new Trigger { Kind = TriggerKind.Operator, Key = "k", Reason = "r", RequestedBy = "root", PowerOff = true, ForceAfter = TimeSpan.FromMinutes(1) },
        Phase = EvacuationPhase.Moving,
        Started = DateTimeOffset.UnixEpoch,
        Updated = DateTimeOffset.UnixEpoch,
    };

    private static MoveState Move(EvacuationState state, string name, int order) => new()
    {
        EvacuationId = state.Id,
        Container = FakeRack.Container(name),
        Order = order,
        Phase = MovePhase.Planned,
        Destination = "node2",
        Token = "t",
    };
}
