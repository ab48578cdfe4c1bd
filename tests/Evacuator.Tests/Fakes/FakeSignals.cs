using System.Runtime.CompilerServices;
using Evacuator.Health;

namespace Evacuator.Tests.Fakes;

/// <summary>A management controller's health, told by the test. A new listener first hears what is open, as from a real one.</summary>
internal sealed class FakeSignals : ISignalSource
{
    private readonly Lock _lock = new();
    private SignalNews _last = new(true, "", "On", []);
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _version;

    /// <summary>Readings that the brain has taken to their end.</summary>
    public int Taken { get; private set; }

    public void Say(bool canTell = true, params OpenSignal[] open)
    {
        lock (_lock)
        {
            _last = new SignalNews(canTell, canTell ? "" : "timeout", canTell ? "On" : null, open);
            _version++;
            _changed.SetResult();
            _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

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
