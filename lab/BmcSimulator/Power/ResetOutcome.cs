namespace Evacuator.Lab.BmcSimulator.Power;

internal enum ResetOutcome
{
    Accepted,

    /// <summary>The machine already is what was asked for.</summary>
    AlreadyThere,

    /// <summary>A switch in the other direction is under way.</summary>
    Busy,

    NotSupported,
}
