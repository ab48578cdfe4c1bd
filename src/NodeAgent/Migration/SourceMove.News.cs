using Evacuator.NodeAgent.Files;

namespace Evacuator.NodeAgent.Migration;

/// <summary>What is told of a move while it copies.</summary>
internal sealed partial class SourceMove
{
    private static readonly TimeSpan NewsEvery = TimeSpan.FromMilliseconds(500);

    /// <summary>Tells where it stands now and then, and at the end: a first round takes minutes, and an operator is to see that it goes on.</summary>
    private async Task FollowAsync(Task work, Action tell)
    {
        using CancellationTokenSource ended = new();
        do
            tell();
        while (await Task.WhenAny(work, Task.Delay(NewsEvery, _tools.Time, ended.Token)) != work);
        await ended.CancelAsync();
        tell();
        await work;
    }

    private void Tell(MemoryAhead memory, TreeSender trees) => Update(record => record with
    {
        Rounds = memory.Rounds,
        BytesSent = trees.BytesSent + memory.BytesSent,
        Detail = memory.Speed < 1 ? $"it writes faster than its memory can be sent: slowed down to {memory.Speed * 100:0} % until it has moved" : record.Detail,
    });
}
