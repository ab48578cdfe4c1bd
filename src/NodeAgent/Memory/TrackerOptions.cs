namespace Evacuator.NodeAgent.Memory;

/// <summary>How much a tracker may hold and how often it tries.</summary>
internal sealed record TrackerOptions
{
    /// <summary>Buffers of 1 MiB between reading and sending.</summary>
    public int Buffers { get; init; } = 16;

    /// <summary>Rounds in which a process that could not be attached is tried again before it is left to the freeze.</summary>
    public int AttachAttempts { get; init; } = 3;
}
