using Microsoft.Extensions.Logging;

namespace Evacuator.Lab.BmcSimulator.Power;

/// <summary>
/// The power switch. Its state is the truth about the machine; only while a command runs and the machine has not got there
/// does it say PoweringOn or PoweringOff. Commands run in the background: a BMC answers at once.
/// </summary>
internal sealed partial class NodePower(PowerHooks hooks, TimeProvider time, ILogger<NodePower> logger) : IAsyncDisposable
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan GracefulPatience = TimeSpan.FromMinutes(5);

    private readonly Lock _lock = new();
    private readonly List<Switching> _switching = [];
    private readonly CancellationTokenSource _stop = new();

    private sealed record Switching(bool ToOn)
    {
        public Task Work { get; set; } = Task.CompletedTask;
    }

    /// <summary>On, Off, PoweringOn or PoweringOff.</summary>
    public string State
    {
        get
        {
            bool running = hooks.IsRunning();
            bool? towards = Towards();
            return (running, towards) switch
            {
                (true, false) => "PoweringOff",
                (true, _) => "On",
                (false, true) => "PoweringOn",
                (false, _) => "Off",
            };
        }
    }

    /// <summary>Accepts or refuses a reset type of the Redfish enumeration; an accepted one is carried out in the background.</summary>
    public ResetOutcome Request(string resetType)
    {
        bool running = hooks.IsRunning();
        bool? towards = Towards();
        switch (resetType)
        {
            case "On" or "ForceOn" when running && towards is not false:
            case "ForceOff" or "GracefulShutdown" or "ForceRestart" or "GracefulRestart" or "PowerCycle" when !running && towards is not true:
                return ResetOutcome.AlreadyThere;
            case "On" or "ForceOn" when towards is not null:
            case "GracefulShutdown" or "GracefulRestart" or "ForceRestart" or "PowerCycle" or "PushPowerButton" when towards is not null:
                return ResetOutcome.Busy;
            case "On" or "ForceOn":
                Start(true, hooks.On);
                return ResetOutcome.Accepted;
            case "ForceOff": // Always possible: it is the way out of a graceful shutdown that hangs.
                Start(false, hooks.ForceOff);
                return ResetOutcome.Accepted;
            case "GracefulShutdown":
                Start(false, hooks.Graceful);
                return ResetOutcome.Accepted;
            case "ForceRestart" or "PowerCycle":
                Start(false, token => RestartAsync(hooks.ForceOff, token));
                return ResetOutcome.Accepted;
            case "GracefulRestart":
                Start(false, token => RestartAsync(hooks.Graceful, token));
                return ResetOutcome.Accepted;
            case "PushPowerButton":
                Start(!running, running ? hooks.Graceful : hooks.On);
                return ResetOutcome.Accepted;
            default:
                return ResetOutcome.NotSupported;
        }
    }

    /// <summary>Completes when no command runs any more.</summary>
    public Task WhenSettledAsync()
    {
        lock (_lock)
        {
            return Task.WhenAll(_switching.Select(switching => switching.Work));
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await WhenSettledAsync();
        _stop.Dispose();
    }

    private bool? Towards()
    {
        lock (_lock)
        {
            return _switching.Count == 0 ? null : _switching[^1].ToOn;
        }
    }

    private void Start(bool toOn, Func<CancellationToken, Task> command)
    {
        var switching = new Switching(toOn);
        lock (_lock)
        {
            _switching.Add(switching);
            switching.Work = Task.Run(() => RunAsync(switching, command));
        }
    }

    private async Task RunAsync(Switching switching, Func<CancellationToken, Task> command)
    {
        try
        {
            await command(_stop.Token);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The BMC goes away; what the machine does then is its own matter.
        }
        catch (Exception error)
        {
            LogCommandFailed(error, switching.ToOn ? "on" : "off");
        }
        finally
        {
            lock (_lock)
            {
                _switching.Remove(switching);
            }
        }
    }

    private async Task RestartAsync(Func<CancellationToken, Task> off, CancellationToken token)
    {
        await off(token);
        long started = time.GetTimestamp();
        while (hooks.IsRunning())
        {
            if (time.GetElapsedTime(started) > GracefulPatience)
            {
                throw new TimeoutException($"the machine still runs {GracefulPatience} after it was asked to stop; it is not switched on again");
            }

            await Task.Delay(Poll, time, token);
        }

        await hooks.On(token);
    }
}
