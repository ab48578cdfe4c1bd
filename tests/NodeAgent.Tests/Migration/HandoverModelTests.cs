using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Migration;

namespace Evacuator.NodeAgent.Tests.Migration;

/// <summary>
/// Explores every order in which the two halves of the handover can run, with messages lost, repeated and delayed, and with either side
/// restarted or rebooted at any point. The phases and their changes are the product's own tables; only the world around them is modelled here.
/// </summary>
public class HandoverModelTests
{
    [Fact]
    public void Handover_AnyLossDelayOrRestart_NeverRunsTwice()
    {
        foreach (World world in Reachable())
            Assert.False(world.SourceTasks == Tasks.Running && world.DestinationTasks == Tasks.Running, $"two running: {world}");
    }

    [Fact]
    public void Handover_NoRebootAndBothEnded_RunsInExactlyOnePlace()
    {
        World[] ends = [.. Reachable().Where(world => world is { Rebooted: false, Source: SourcePhase.Moved or SourcePhase.Stayed }
            && world.Destination is DestinationPhase.Running or DestinationPhase.Failed or DestinationPhase.Announced or DestinationPhase.Receiving or DestinationPhase.Ready)];

        Assert.Contains(ends, world => world.Source == SourcePhase.Moved);
        Assert.Contains(ends, world => world.Source == SourcePhase.Stayed);
        foreach (World world in ends.Where(world => !world.Rebooted))
            Assert.True((world.SourceTasks == Tasks.Running) ^ (world.DestinationTasks == Tasks.Running), $"not exactly one: {world}");
    }

    [Fact]
    public void Handover_FromAnyPoint_CanStillEnd()
    {
        HashSet<World> reachable = Reachable();
        Dictionary<World, List<World>> before = [];
        foreach (World world in reachable)
            foreach (World next in Next(world))
                (before.TryGetValue(next, out List<World>? list) ? list : before[next] = []).Add(world);
        HashSet<World> canEnd = [.. reachable.Where(world => world.Source is SourcePhase.Moved or SourcePhase.Stayed)];
        Queue<World> open = new(canEnd);
        while (open.TryDequeue(out World? world))
            foreach (World earlier in before.GetValueOrDefault(world) ?? [])
                if (canEnd.Add(earlier))
                    open.Enqueue(earlier);

        Assert.Equal(reachable.Count, canEnd.Count);
    }

    [Fact]
    public void Handover_SourceRemoves_OnlyAfterTheDestinationRan()
    {
        foreach (World world in Reachable().Where(world => world.Source is SourcePhase.Removing or SourcePhase.Moved))
            Assert.True(world.EverRan, $"removed before it ran elsewhere: {world}");
    }

    /// <summary>Also if the destination loses its power between its answer and the removal at the source.</summary>
    [Fact]
    public void Handover_OnlyTheDestinationLosesPower_RunsInExactlyOnePlaceUntilItHasBeenHandedOver()
    {
        World[] ends = [.. Reachable().Where(world => world is { SourceRebooted: false, LostAfterKnown: false, Source: SourcePhase.Moved or SourcePhase.Stayed })];

        Assert.Contains(ends, world => world is { DestinationRebooted: true, EverRan: true, Source: SourcePhase.Stayed });
        foreach (World world in ends)
            Assert.True((world.SourceTasks == Tasks.Running) ^ (world.DestinationTasks == Tasks.Running), $"not exactly one: {world}");
    }

    /// <summary>Post-copy: what runs there needs the memory of the frozen copy until it has all of it.</summary>
    [Fact]
    public void Handover_MemoryIsLeftAtTheSource_IsKeptUntilAllIsFetched()
    {
        HashSet<World> reachable = Reachable();

        Assert.Contains(reachable, world => world is { Away: true, Source: SourcePhase.Moved, Rebooted: false, DestinationTasks: Tasks.Running });
        Assert.Contains(reachable, world => world is { Source: SourcePhase.Serving });
        foreach (World world in reachable.Where(world => world is { Away: true, Fetched: false, SourceRebooted: false, DestinationTasks: Tasks.Running }))
            Assert.True(world.SourceTasks == Tasks.Frozen, $"its memory is gone: {world}");
    }

    /// <summary>Lost with the source's host, as its owner has permitted: nothing stays that waits for memory that will never come.</summary>
    [Fact]
    public void Handover_TheSourceLosesPowerWhileItServes_EndsWithNothingAndSaysSo()
    {
        World[] ends = [.. Reachable().Where(world => world is { Away: true, Fetched: false, EverRan: true, SourceRebooted: true, DestinationRebooted: false, Source: SourcePhase.Moved or SourcePhase.Stayed })];

        Assert.NotEmpty(ends);
        foreach (World world in ends)
            Assert.True(world is { Source: SourcePhase.Stayed, Destination: DestinationPhase.Failed, SourceTasks: Tasks.None, DestinationTasks: Tasks.None }, $"{world}");
    }

    private enum Tasks
    {
        None,
        Running,
        Frozen,
    }

    /// <param name="ReadyHeard">the source has heard READY</param>
    /// <param name="ReleaseSent">a release is on the wire, or was; it may arrive at any time, any number of times</param>
    /// <param name="RunningReply">an answer "Running" is on the wire</param>
    /// <param name="FailedReply">an answer "Failed" is on the wire</param>
    /// <param name="ForgetSent">a request to forget is on the wire</param>
    /// <param name="KnownSent">the source's word that it has heard Running is on the wire</param>
    /// <param name="SourceKnown">the destination has journaled that word</param>
    /// <param name="KnownReply">its confirmation is on the wire</param>
    /// <param name="Away">post-copy: memory stays at the source when it is released</param>
    /// <param name="Fetched">the destination has journaled that it has all of it</param>
    /// <param name="FetchingReply">an answer "Running, and I fetch" is on the wire</param>
    /// <param name="LostSent">the source's word that it was rebooted is on the wire</param>
    /// <param name="LostAfterKnown">the destination lost its power after that: what every container risks on every host</param>
    private sealed record World(
        SourcePhase Source, Tasks SourceTasks, DestinationPhase Destination, Tasks DestinationTasks,
        bool ReadyHeard = false, bool ReleaseSent = false, bool RunningReply = false, bool FailedReply = false, bool ForgetSent = false, bool KnownSent = false,
        bool SourceKnown = false, bool KnownReply = false, bool EverRan = false, bool SourceRebooted = false, bool DestinationRebooted = false, bool LostAfterKnown = false,
        bool Away = false, bool Fetched = false, bool FetchingReply = false, bool LostSent = false)
    {
        public bool Rebooted => SourceRebooted || DestinationRebooted;
    }

    private static HashSet<World> Reachable()
    {
        World start = new(SourcePhase.Accepted, Tasks.Running, DestinationPhase.Announced, Tasks.None);
        HashSet<World> seen = [start, start with { Away = true }];
        Queue<World> open = new(seen);
        while (open.TryDequeue(out World? world))
            foreach (World next in Next(world))
                if (seen.Add(next))
                    open.Enqueue(next);
        return seen;
    }

    private static IEnumerable<World> Next(World w)
    {
        // The source's own steps.
        if (SourceTransitions.Next(w.Source, SourceInput.CopyBegins) is { } copying)
            yield return w with { Source = copying };
        if (SourceTransitions.Next(w.Source, SourceInput.FreezeBegins) is { } freezing && w.Destination == DestinationPhase.Receiving)
            yield return w with { Source = freezing, SourceTasks = w.SourceTasks == Tasks.Running ? Tasks.Frozen : w.SourceTasks };
        if (SourceTransitions.Next(w.Source, SourceInput.Release) is { } released && w.ReadyHeard)
            yield return w with { Source = released };
        // One that has lost what it left here says that instead.
        if (w.Source is SourcePhase.Released or SourcePhase.Serving)
            yield return w is { Away: true, SourceRebooted: true } ? w with { LostSent = true } : w with { ReleaseSent = true };
        if (w.FetchingReply && SourceTransitions.Next(w.Source, SourceInput.PeerFetches) is { } serving)
            yield return w with { Source = serving };
        if (SourceTransitions.Next(w.Source, SourceInput.Abort) is { } reverting)
            yield return w with { Source = reverting };
        if (SourceTransitions.Next(w.Source, SourceInput.Reverted) is { } stayed)
            yield return w with { Source = stayed, SourceTasks = w.SourceTasks == Tasks.Frozen ? Tasks.Running : w.SourceTasks, ForgetSent = true };
        if (w.RunningReply && w.Source is SourcePhase.Released or SourcePhase.Serving)
            yield return w with { KnownSent = true };
        if (w.KnownReply && SourceTransitions.Next(w.Source, SourceInput.PeerRuns) is { } removing)
            yield return w with { Source = removing };
        if (w.FailedReply && SourceTransitions.Next(w.Source, SourceInput.PeerFailed) is { } failed)
            yield return w with { Source = failed };
        if (SourceTransitions.Next(w.Source, SourceInput.Removed) is { } moved)
            yield return w with { Source = moved, SourceTasks = Tasks.None };

        // The destination's.
        if (w.Source == SourcePhase.Copying && DestinationTransitions.Next(w.Destination, DestinationInput.Offered) is { } receiving)
            yield return w with { Destination = receiving };
        if (w.Source == SourcePhase.Freezing && DestinationTransitions.Next(w.Destination, DestinationInput.Complete) is { } ready)
        {
            yield return w with { Destination = ready };
            yield return w with { Destination = ready, ReadyHeard = true };
        }
        if (w.ReleaseSent && DestinationTransitions.Next(w.Destination, DestinationInput.Release) is { } resuming)
            yield return w with { Destination = resuming };
        if (DestinationTransitions.Next(w.Destination, DestinationInput.Restored) is { } running)
            yield return w with { Destination = running, DestinationTasks = Tasks.Running, EverRan = true };
        if (DestinationTransitions.Next(w.Destination, DestinationInput.RestoreFailed) is { } broken)
            yield return w with { Destination = broken };
        // A lease that runs out, the own brain, or the source's request, late or not.
        if (DestinationTransitions.Next(w.Destination, DestinationInput.Forget) is { } forgotten)
            yield return w with { Destination = forgotten };
        bool fetches = w is { Away: true, Fetched: false };
        // All that was left arrives only from the frozen copy.
        if (fetches && w is { Destination: DestinationPhase.Running, SourceTasks: Tasks.Frozen, Source: SourcePhase.Released or SourcePhase.Serving })
            yield return w with { Fetched = true };
        if (w.ReleaseSent && w.Destination == DestinationPhase.Running)
            yield return fetches ? w with { FetchingReply = true } : w with { RunningReply = true };
        if (w.LostSent && fetches && DestinationTransitions.Next(w.Destination, DestinationInput.SourceLost) is { } orphaned)
            yield return w with { Destination = orphaned, DestinationTasks = Tasks.None };
        if (w.LostSent && DestinationTransitions.Next(w.Destination, DestinationInput.Forget) is { } dropped)
            yield return w with { Destination = dropped };
        // It had everything: the answer is that it runs.
        if (w.LostSent && !fetches && w.Destination == DestinationPhase.Running)
            yield return w with { RunningReply = true };
        if (w.KnownSent && !fetches && w.Destination == DestinationPhase.Running)
            yield return w with { SourceKnown = true };
        if (w.KnownSent && w.SourceKnown && w.Destination == DestinationPhase.Running)
            yield return w with { KnownReply = true };
        if (w.Destination == DestinationPhase.Failed && (w.ReleaseSent || w.ForgetSent || w.KnownSent || w.LostSent))
            yield return w with { FailedReply = true };

        // Restarts of an agent change nothing but this: the source aborts what it may.
        // Reboots: all tasks of the host are gone.
        if (w.SourceTasks != Tasks.None)
        {
            SourcePhase after = SourceTransitions.Next(w.Source, SourceInput.Abort) ?? w.Source;
            yield return w with { Source = after, SourceTasks = Tasks.None, SourceRebooted = true };
        }
        if (!w.Rebooted || w.Destination != DestinationPhase.Failed)
            yield return Rebooted(w);
        // A person has seen that the destination is off. It may come back later, as after any reboot.
        if (SourceTransitions.Next(w.Source, SourceInput.PeerGone) is { } settled)
            yield return Rebooted(w) with { Source = settled };
    }

    /// <summary>The destination's host: all its tasks are gone.</summary>
    private static World Rebooted(World w) => w with
    {
        Destination = w.Destination == DestinationPhase.Running && w.SourceKnown
            ? w.Destination
            : DestinationTransitions.Next(w.Destination, DestinationInput.LostByReboot)
                ?? DestinationTransitions.Next(w.Destination, DestinationInput.Forget)
                ?? w.Destination,
        DestinationTasks = Tasks.None,
        DestinationRebooted = true,
        LostAfterKnown = w.LostAfterKnown || (w.SourceKnown && w.DestinationTasks != Tasks.None),
    };
}
