using System.Collections.Concurrent;
using System.Globalization;
using Evacuator.NodeAgent.Transfer;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Transfer;

public class UrgencyTests
{
    private readonly ManualTime _time = new();

    [Fact]
    public void GiveWay_NobodyInside_CostsNothing()
    {
        Urgency urgency = new(_time);

        Assert.True(urgency.GiveWayAsync(default).IsCompletedSuccessfully);
        urgency.Enter().Dispose();
        Assert.True(urgency.GiveWayAsync(default).IsCompletedSuccessfully);
    }

    [Fact]
    public async Task GiveWay_SomebodyInside_HoldsUntilTheyLeave()
    {
        Urgency urgency = new(_time);
        using IDisposable first = urgency.Enter(), second = urgency.Enter();
        Task held = urgency.GiveWayAsync(default).AsTask();

        second.Dispose();
        Assert.False(held.IsCompleted);
        first.Dispose();

        await held;
    }

    [Fact]
    public async Task GiveWay_WhoComesInHimself_DoesNotWaitForHimself()
    {
        Urgency urgency = new(_time);
        using CancellationTokenSource inside = new();
        IDisposable other = urgency.Enter();
        Task held = urgency.GiveWayAsync(default, inside.Token).AsTask();
        using IDisposable own = urgency.Enter();
        other.Dispose();
        Assert.False(held.IsCompleted);

        await inside.CancelAsync();

        await held;
        Assert.True(urgency.GiveWayAsync(default, inside.Token).IsCompletedSuccessfully);
    }

    [Fact]
    public async Task GiveWay_CalledOff_SaysSo()
    {
        Urgency urgency = new(_time);
        using CancellationTokenSource cancel = new(), inside = new();
        using IDisposable other = urgency.Enter();
        Task held = urgency.GiveWayAsync(cancel.Token, inside.Token).AsTask();

        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => held);
    }

    [Fact]
    public async Task GiveWay_SomebodyHangsInside_CountsFromTheirEntryAndOnceForAllBatches()
    {
        Urgency urgency = new(_time);
        using IDisposable hanging = urgency.Enter();
        _time.Advance(Urgency.LongestHold / 2);
        Task held = urgency.GiveWayAsync(default).AsTask();
        Assert.False(held.IsCompleted);

        _time.Advance(Urgency.LongestHold / 2 + TimeSpan.FromMilliseconds(1));
        await held;

        // The next batches do not pay again, until somebody new comes in.
        Assert.True(urgency.GiveWayAsync(default).IsCompletedSuccessfully);
        using IDisposable fresh = urgency.Enter();
        Assert.False(urgency.GiveWayAsync(default).IsCompleted);
    }

    [Fact]
    public async Task GiveWay_OneComesInAfterTheOther_GoesOnInTime()
    {
        Urgency urgency = new(_time);
        IDisposable first = urgency.Enter();
        Task held = urgency.GiveWayAsync(default).AsTask();
        _time.Advance(Urgency.LongestHold * 0.75);
        using IDisposable second = urgency.Enter();
        first.Dispose();
        Assert.False(held.IsCompleted);

        _time.Advance(Urgency.LongestHold * 0.25);

        await held.WaitAsync(TimeSpan.FromMinutes(1));
        // The second has not been inside for too long: who comes now gives way to it.
        Assert.True(urgency.IsHeld);
    }

    [Fact]
    public async Task GiveWay_Cancelled_EndsAtOnce()
    {
        Urgency urgency = new(_time);
        using IDisposable inside = urgency.Enter();
        using CancellationTokenSource cancel = new();
        Task held = urgency.GiveWayAsync(cancel.Token).AsTask();

        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => held);
    }

    /// <summary>What it compiles is needed next time.</summary>
    [RootFact]
    public void Enter_WithTheRuntimesCompilerAtWork_LeavesItBehind()
    {
        Urgency urgency = new(_time, new AgentPriority());
        using ManualResetEventSlim end = new();
        using BlockingCollection<int> ids = [];
        Thread compiler = new(() =>
        {
            ids.Add(OwnId());
            end.Wait();
        }) { Name = ".NET Tiered Compilation Worker" };
        compiler.Start();
        int id = ids.Take();

        using (urgency.Enter())
            Assert.Equal(AgentPriority.Last, NodeAgent.Interop.GetNiceness(id));

        Assert.Equal(AgentPriority.Last, NodeAgent.Interop.GetNiceness(id));
        end.Set();
        compiler.Join();
    }

    [RootFact]
    public void Enter_ByTheFirst_RaisesThePriorityUntilTheLastHasLeft()
    {
        Urgency urgency = new(_time, new AgentPriority());
        using ManualResetEventSlim end = new();
        using BlockingCollection<int> ids = [];
        Thread ordinary = Start(AgentPriority.Ordinary), chosen = Start(7);
        int plain = ids.Take(), own = ids.Take();
        if (NodeAgent.Interop.GetNiceness(plain) == 7)
            (plain, own) = (own, plain);

        IDisposable first = urgency.Enter(), second = urgency.Enter();
        Assert.Equal((AgentPriority.Urgent, 7), (NodeAgent.Interop.GetNiceness(plain), NodeAgent.Interop.GetNiceness(own)));
        first.Dispose();
        Assert.Equal(AgentPriority.Urgent, NodeAgent.Interop.GetNiceness(plain));
        second.Dispose();
        Assert.Equal((AgentPriority.Ordinary, 7), (NodeAgent.Interop.GetNiceness(plain), NodeAgent.Interop.GetNiceness(own)));

        using (urgency.Enter(still: false))
            Assert.Equal(AgentPriority.Ordinary, NodeAgent.Interop.GetNiceness(plain));
        using IDisposable forgotten = urgency.Enter();
        Assert.Equal(AgentPriority.Urgent, NodeAgent.Interop.GetNiceness(plain));
        _time.Advance(Urgency.LongestRaise);
        Assert.Equal(AgentPriority.Ordinary, NodeAgent.Interop.GetNiceness(plain));
        end.Set();
        ordinary.Join();
        chosen.Join();

        Thread Start(int niceness)
        {
            Thread thread = new(() =>
            {
                _ = NodeAgent.Interop.SetOwnNiceness(niceness);
                ids.Add(OwnId());
                end.Wait();
            });
            thread.Start();
            return thread;
        }
    }

    private static int OwnId() => int.Parse(File.ResolveLinkTarget("/proc/thread-self", returnFinalTarget: false)!.Name, CultureInfo.InvariantCulture);
}
