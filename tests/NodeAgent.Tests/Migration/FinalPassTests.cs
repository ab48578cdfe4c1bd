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
