namespace Evacuator.Cli;

/// <summary>Exit codes of the verbs; part of the interface (man page). The numbers from 64 on are those of sysexits.h.</summary>
internal static class CliExit
{
    public const int Ok = 0;

    /// <summary>It was tried and did not succeed: the evacuation failed, a container cannot move, the BMC refused.</summary>
    public const int Failed = 1;

    /// <summary>The evacuation that was waited for was cancelled.</summary>
    public const int Cancelled = 3;

    /// <summary>The service refused: another evacuation is under way, there is nothing to cancel, there is no such report.</summary>
    public const int Refused = 4;

    /// <summary>With --wait: the host was proven empty and goes down; the witness tells whether it is off.</summary>
    public const int GoingDown = 5;

    public const int Usage = 64;

    /// <summary>The service does not run or does not answer.</summary>
    public const int Unavailable = 69;

    /// <summary>Neither root nor in group evacuator.</summary>
    public const int NoPermission = 77;

    public const int Configuration = 78;
}
