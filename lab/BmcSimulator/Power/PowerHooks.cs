namespace Evacuator.Lab.BmcSimulator.Power;

/// <summary>The machine behind the BMC. The three commands may take their time and may fail; what counts is <see cref="IsRunning"/> afterwards.</summary>
public sealed record PowerHooks
{
    /// <summary>Whether the machine runs now; cheap, asked at every read.</summary>
    public required Func<bool> IsRunning { get; init; }

    public required Func<CancellationToken, Task> On { get; init; }

    /// <summary>Asks the operating system; the machine may ignore it.</summary>
    public required Func<CancellationToken, Task> Graceful { get; init; }

    public required Func<CancellationToken, Task> ForceOff { get; init; }
}
