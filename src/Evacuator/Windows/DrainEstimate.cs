using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Journal;

namespace Evacuator.Windows;

/// <summary>
/// How long emptying this node would take: its memory and disk at the slowest pace of its last evacuations, half as much again, and a fixed part for each container. Meant to be too long
/// rather than too short.
/// </summary>
internal sealed class DrainEstimate(JournalStore journal, AgentClient agent, EvacuatorOptions options)
{
    private const double Margin = 1.5;
    private const int Looked = 10;

    /// <summary>Reserving, last pass, dump, restore, removing.</summary>
    private static readonly TimeSpan PerContainer = TimeSpan.FromSeconds(5);

    /// <summary>Planning and the two looks of the proof.</summary>
    private static readonly TimeSpan Fixed = TimeSpan.FromSeconds(20);

    /// <exception cref="AgentException">the containers cannot be listed</exception>
    public async Task<TimeSpan> MakeAsync(CancellationToken token) =>
        Make(await agent.GetContainersAsync(token).ConfigureAwait(false), Pace(), options.Move.Parallel);

    internal static TimeSpan Make(IReadOnlyList<ContainerReport> containers, double bytesPerSecond, int parallel)
    {
        if (containers.Count == 0)
            return Fixed;
        double bytes = containers.Sum(container => (double)container.MemoryBytes + container.DiskBytes);
        double seconds = bytes / Math.Max(1, bytesPerSecond) + PerContainer.TotalSeconds * Math.Ceiling(containers.Count / (double)Math.Max(1, parallel));
        return Fixed + TimeSpan.FromSeconds(Math.Min(seconds * Margin, TimeSpan.FromDays(30).TotalSeconds));
    }

    private double Pace()
    {
        List<double> measured = [];
        foreach (EvacuationState state in journal.Evacuations(Looked).Where(state => state.Phase == EvacuationPhase.Done))
        {
            List<MoveState> moved = [.. journal.Moves(state.Id).Where(move => move is { Phase: MovePhase.Moved, Started: not null, Ended: not null })];
            double bytes = moved.Sum(move => (double)(move.Last?.BytesSent ?? 0));
            // Small moves are all overhead and say nothing of the pace.
            if (bytes < 256 << 20)
                continue;
            double seconds = (moved.Max(move => move.Ended!.Value) - moved.Min(move => move.Started!.Value)).TotalSeconds;
            if (seconds > 1)
                measured.Add(bytes / seconds);
        }

        return measured.Count > 0 ? measured.Min() : options.Windows.PaceMebibytes * (double)(1 << 20);
    }
}
