using Evacuator.NodeAgent.Migration;
using Evacuator.NodeAgent.Transfer;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Migration;

public sealed class FinalPassTests : IDisposable
{
    private readonly ManualTime _time = new();
    private readonly SemaphoreSlim _turns = new(1);
    private readonly Urgency _urgency;

    public FinalPassTests() => _urgency = new Urgency(_time);

    public void Dispose() => _turns.Dispose();

    [Fact]
    public async Task Turn_GivenBackTwice_IsOneTurn()
    {
        FinalPass pass = await FinalPass.TakeAsync(_turns, default);
        pass.Freeze(_urgency);
        Assert.True(_urgency.IsHeld);

        pass.Dispose();
        pass.Dispose();

        Assert.False(_urgency.IsHeld);
        Assert.Equal(1, _turns.CurrentCount);
    }

    /// <summary>What the others send between its last round and its freeze would stand before what it sends in that.</summary>
    [Fact]
    public async Task Turn_FromItsLastRoundsToItsFreeze_LetsNobodyIn()
    {
        FinalPass pass = await FinalPass.TakeAsync(_turns, default);
        pass.GoAhead(_urgency);
        Task other = _urgency.GiveWayAsync(default).AsTask();
        _time.Advance(Urgency.LongestHold / 2);
        pass.GoAhead(_urgency);
        pass.Freeze(_urgency);
        Assert.False(other.IsCompleted);
        Assert.True(_urgency.IsHeld);

        pass.Dispose();

        await other;
        Assert.False(_urgency.IsHeld);
    }

    [Fact]
    public async Task Turn_OfOneWhosePeerDoesNotAnswer_IsTheNextOnesInTime()
    {
        FinalPass silent = await FinalPass.TakeAsync(_turns, default);
        silent.Freeze(_urgency);
        Task<FinalPass> next = FinalPass.TakeAsync(_turns, default);
        silent.EndWithin(TimeSpan.FromSeconds(1), _time);
        Assert.False(next.IsCompleted);

        _time.Advance(TimeSpan.FromSeconds(1));

        using FinalPass turn = await next;
        Assert.True(turn.Waited);
        Assert.False(_urgency.IsHeld);
    }
}
