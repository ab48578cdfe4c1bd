namespace Evacuator.Journal;

/// <summary>Why a node is emptied, who wanted it, and how far to go.</summary>
internal sealed record Trigger
{
    public required TriggerKind Kind { get; init; }

    /// <summary>Unique for the cause: the operator's operation id, or the signal's identity. The same key twice is one evacuation.</summary>
    public required string Key { get; init; }

    public required string Reason { get; init; }

    public string? Ticket { get; init; }

    /// <summary>The failing component, where the hardware itself was the reason.</summary>
    public Fault? Fault { get; init; }

    /// <summary>When it has to be over; null: it may take as long as it takes.</summary>
    public DateTimeOffset? Until { get; init; }

    /// <summary>Name of the user that asked, as the kernel vouches for the socket's caller; "signal" for the hardware.</summary>
    public required string RequestedBy { get; init; }

    public bool PowerOff { get; init; }

    /// <summary>When containers that may be stopped are, and the others stay; null: it may take as long as it takes.</summary>
    public DateTimeOffset? Deadline { get; init; }

    /// <summary>Whether what fits may move although not all does; null: as the settings say.</summary>
    public bool? Partial { get; init; }

    /// <summary>The fleet's lock does not hold it up.</summary>
    public bool Force { get; init; }

    /// <summary>How long after the shutdown began the witness may force the power off; null: never.</summary>
    public TimeSpan? ForceAfter { get; init; }
}

/// <summary>What a technician is to look for.</summary>
/// <param name="Part">as the management controller calls it, with what to order it by</param>
/// <param name="Location">the label on the machine; null if the controller does not tell</param>
/// <param name="PartNumber">to order it by, as in <paramref name="Part"/>; null if the controller does not tell</param>
/// <param name="SerialNumber">to compare with what is pulled; null if the controller does not tell</param>
internal sealed record Fault(string Part, string? Location, string? PartNumber = null, string? SerialNumber = null);
