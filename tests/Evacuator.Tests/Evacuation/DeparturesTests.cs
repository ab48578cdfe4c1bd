using System.Collections.Concurrent;
using Evacuator.Evacuation;

namespace Evacuator.Tests.Evacuation;

public sealed class DeparturesTests
{
    /// <summary>"a1" goes to a. Each stays under way until the test lets it arrive.</summary>
    private readonly ConcurrentDictionary<string, TaskCompletionSource> _gone = new();
    private readonly ConcurrentQueue<string> _order = new();

    [Fact]
    public async Task Run_PlaceIsFull_TheNextForAnotherGoesFirst()
    {
        Task all = Start(["a1", "a2", "a3", "b1", "b2"], parallel: 3, perPlace: 1);
        Assert.Equal(["a1", "b1"], await UnderWayAsync(2));
        _gone["b1"].SetResult();
        Assert.Equal(["a1", "b1", "b2"], await UnderWayAsync(3));
        _gone["a1"].SetResult();
        Assert.Equal(["a1", "b1", "b2", "a2"], await UnderWayAsync(4));
        _gone["a2"].SetResult();
        await UnderWayAsync(5);
        _gone["b2"].SetResult();
        _gone["a3"].SetResult();
        await all;
    }

    [Fact]
    public async Task Run_NoLimitOfAPlace_InOrderAndNoMoreThanAtOnce()
    {
        Task all = Start(["a1", "a2", "a3", "a4"], parallel: 2, perPlace: 0);
        Assert.Equal(["a1", "a2"], await UnderWayAsync(2));
        _gone["a2"].SetResult();
        Assert.Equal(["a1", "a2", "a3"], await UnderWayAsync(3));
        _gone["a1"].SetResult();
        await UnderWayAsync(4);
        _gone["a3"].SetResult();
        _gone["a4"].SetResult();
        await all;
    }

    [Fact]
    public async Task Run_OneThrows_TheOthersAreCalledOffAndNoMoreBegin()
    {
        Task all = Start(["a1", "b1", "c1"], parallel: 2, perPlace: 0);
        await UnderWayAsync(2);
        _gone["a1"].SetException(new InvalidDataException("broken"));
        await Assert.ThrowsAsync<InvalidDataException>(() => all);
        Assert.Equal(["a1", "b1"], _order);
    }

    [Fact]
    public async Task Run_Stopped_EndsAsStopped()
    {
        using CancellationTokenSource stop = new();
        Task all = Start(["a1", "b1", "c1"], parallel: 2, perPlace: 1, stop.Token);
        await UnderWayAsync(2);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => all);
        Assert.Equal(2, _order.Count);
    }

    private Task Start(string[] names, int parallel, int perPlace, CancellationToken stop = default) =>
        new Departures<string>(names, name => name[..1], parallel, perPlace).RunAsync(async (name, token) =>
        {
            TaskCompletionSource arrives = _gone.GetOrAdd(name, _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
            lock (_order)
                _order.Enqueue(name);
            await arrives.Task.WaitAsync(token);
        }, stop);

    /// <summary>Those that have begun so far, in the order of the places they wait in, when there are so many.</summary>
    private async Task<IEnumerable<string>> UnderWayAsync(int count)
    {
        using CancellationTokenSource limit = new(Fakes.TestLimits.Hang);
        while (_order.Count < count)
            await Task.Delay(1, limit.Token);
        Assert.Equal(count, _order.Count);
        // Those that begin at the same moment may be heard in any order.
        return _order.Take(2).Order().Concat(_order.Skip(2));
    }
}
