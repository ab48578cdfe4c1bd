using Evacuator.Journal;
using Evacuator.Placement;

namespace Evacuator.Evacuation;

/// <summary>What this node's journal knows of earlier moves.</summary>
internal static class ExperienceReader
{
    /// <summary>Older ones were of another network, kernel or load.</summary>
    private const int LastEvacuations = 20;

    public static IReadOnlyList<Experience> Read(JournalStore journal, IEnumerable<string> containers) =>
    [
        .. containers.Select(name => RehearsalService.Read(journal, name)).OfType<RehearsalState>().Where(rehearsal => rehearsal.CanMove)
            .Select(rehearsal => new Experience(rehearsal.Container, rehearsal.MemoryBytes, 0, 0, 0, rehearsal.FreezeMs, rehearsal.At, Rehearsed: true)),
        .. journal.Evacuations(LastEvacuations).SelectMany(evacuation => journal.Moves(evacuation.Id))
            .Where(move => move is { Phase: MovePhase.Moved, Last: not null, Started: not null, Ended: not null })
            .Select(move => new Experience(move.Name, move.Container.MemoryBytes, move.Last!.BytesSent, (move.Ended!.Value - move.Started!.Value).TotalSeconds,
                move.Last.Rounds, move.Mode == Common.AgentApi.MoveMode.Live ? move.Last.FreezeMs : null, move.Ended.Value, Rehearsed: false)),
    ];
}
