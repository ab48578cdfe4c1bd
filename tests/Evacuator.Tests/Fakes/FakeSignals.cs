using System.Runtime.CompilerServices;
using Evacuator.Health;
using Evacuator.Redfish.Health;

namespace Evacuator.Tests.Fakes;

/// <summary>A management controller's health, told by the test. A new listener first hears what is open, as from a real one.</summary>
internal sealed class FakeSignals : ISignalSource
{
    private readonly Lock _lock = new();
    private SignalNews _last = News(true, []);
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _version;

    /// <summary>Readings that the brain has taken to their end.</summary>
    public int Taken { get; private set; }

    /// <summary>Confirmed: by one read and one event.</summary>
    public void Say(bool canTell, params Signal[] open) => Tell(canTell, [.. open.Select(signal => new TrackedSignal(signal, 1, 1, signal.LastSeen, 0, false))]);

    public void Tell(bool canTell, params TrackedSignal[] open) => Tell(News(canTell, open));

    /// <summary>All is well, and that is known until then only.</summary>
    public void SayWellUntil(DateTimeOffset freshUntil) => Tell(News(true, []) with { FreshUntil = freshUntil });

    private void Tell(SignalNews news)
    {
        lock (_lock)
        {
            _last = news;
            _version++;
            _changed.SetResult();
            _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    private static SignalNews News(bool canTell, IReadOnlyList<TrackedSignal> open) =>
        new(new HealthKnowledge(canTell, canTell ? "" : "timeout", canTell ? TimeProvider.System.GetUtcNow() : null), canTell ? "On" : null, open);

    public async IAsyncEnumerable<SignalNews> WatchAsync([EnumeratorCancellation] CancellationToken token)
    {
        int seen = -1;
        while (true)
        {
            SignalNews? news = null;
            Task changed;
            lock (_lock)
            {
                changed = _changed.Task;
                if (seen != _version)
                    (news, seen) = (_last, _version);
            }

            if (news is null)
            {
                await changed.WaitAsync(token);
                continue;
            }

            yield return news;
            Taken++;
        }
    }
}
