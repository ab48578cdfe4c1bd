namespace Evacuator.Lab.BmcSimulator.Power;

/// <summary>A machine that exists in memory only, for tests of BMC clients.</summary>
public sealed class SimulatedMachine(bool running)
{
    private volatile bool _running = running;

    /// <summary>Set it to let the machine change by itself.</summary>
    public bool Running
    {
        get => _running;
        set => _running = value;
    }

    /// <summary>False for an operating system that hangs or has no ACPI handling: a graceful shutdown is accepted and nothing follows.</summary>
    public bool ObeysGraceful { get; set; } = true;

    /// <summary>Runs before a command takes effect; a test can hold it open to see the states in between.</summary>
    public Func<CancellationToken, Task> Delay { get; set; } = _ => Task.CompletedTask;

    public PowerHooks Hooks => new()
    {
        IsRunning = () => _running,
        On = token => SetAsync(true, token),
        Graceful = token => ObeysGraceful ? SetAsync(false, token) : Delay(token),
        ForceOff = token => SetAsync(false, token),
    };

    private async Task SetAsync(bool running, CancellationToken token)
    {
        await Delay(token);
        _running = running;
    }
}
