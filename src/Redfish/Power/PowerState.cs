namespace Evacuator.Redfish.Power;

/// <summary>Power as far as it is known. Unknown is the zero value and is never taken for Off.</summary>
public enum PowerState
{
    Unknown = 0,
    On = 1,
    Off = 2,
    PoweringOn = 3,
    PoweringOff = 4,
}

/// <summary>One value read: when (by our clock), from which resource, and what it said; <c>Problem</c> when it could not be read or does not count.</summary>
public sealed record PowerEvidence(DateTimeOffset Time, string Uri, string? Value, string? Problem);

/// <summary>Power of a machine in one look at its System and Chassis.</summary>
/// <param name="State">Off only when the System and every Chassis that is its alone say so.</param>
/// <param name="Evidence">What was read.</param>
/// <param name="Message">Why it is unknown; empty when it is not.</param>
public sealed record PowerReading(PowerState State, IReadOnlyList<PowerEvidence> Evidence, string Message);

/// <summary>Whether a machine was proven off.</summary>
/// <param name="IsOff">Consecutive agreeing reads said Off.</param>
/// <param name="Last">The last state read.</param>
/// <param name="Evidence">The reads that prove it; when it is not proven, the last ones.</param>
/// <param name="Message">For people: what was seen, since when.</param>
public sealed record OffVerdict(bool IsOff, PowerState Last, IReadOnlyList<PowerEvidence> Evidence, string Message);

/// <summary>What a machine's power can be asked to do.</summary>
/// <param name="ResetTypes">As the service lists them.</param>
/// <param name="Graceful">What an orderly shutdown is asked with; null when that is impossible.</param>
/// <param name="Force">What switches off hard; null when nothing does.</param>
/// <param name="On">What switches on; null when nothing does.</param>
/// <param name="Source">"inline", "ActionInfo", or "assumed" when the service lists nothing.</param>
/// <param name="RestorePolicy">What the machine does after a loss of mains: AlwaysOn brings an emptied host back. Null when not told.</param>
public sealed record PowerCapabilities(IReadOnlyList<string> ResetTypes, string? Graceful, string? Force, string? On, string Source, string? RestorePolicy);

/// <summary>How asking for a change of power ended. Accepted is not done: read the power afterwards.</summary>
public enum PowerActionOutcome
{
    Unset = 0,

    /// <summary>The BMC took the order.</summary>
    Accepted = 1,

    /// <summary>Nothing had to be done; confirmed by a read.</summary>
    AlreadyThere = 2,

    /// <summary>The service has no such action.</summary>
    NotSupported = 3,

    /// <summary>The BMC said no and the power is not where it was to go.</summary>
    Refused = 4,

    /// <summary>The order was sent but no answer came: it may or may not be carried out. Read the power.</summary>
    Uncertain = 5,

    /// <summary>The order was not sent.</summary>
    NotSent = 6,
}

/// <summary>What came of an order to the power.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="ResetType">The reset type sent; null when none was.</param>
/// <param name="Message">What is wrong and what to do; on success what was done.</param>
/// <param name="TaskUri">The task that carries it out, when the service made one (202).</param>
public sealed record PowerActionResult(PowerActionOutcome Outcome, string? ResetType, string Message, string? TaskUri = null)
{
    /// <summary>The order stands or nothing was to do.</summary>
    public bool Succeeded => Outcome is PowerActionOutcome.Accepted or PowerActionOutcome.AlreadyThere;
}
