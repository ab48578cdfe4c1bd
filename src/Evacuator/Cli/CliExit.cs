using Evacuator.Common.Configuration;

namespace Evacuator.Cli;

/// <summary>Exit codes of the verbs; part of the interface. A test compares <see cref="All"/> with the man page. The numbers from 64 on are those of sysexits.h.</summary>
internal static class CliExit
{
    public const int Ok = 0;
    public const int Failed = 1;
    public const int Cancelled = 3;
    public const int Refused = 4;
    public const int GoingDown = 5;
    public const int Usage = 64;
    public const int Unavailable = 69;
    public const int NoPermission = 77;
    public const int Configuration = 78;

    /// <summary>As shells have it for Ctrl-C.</summary>
    public const int Interrupted = 130;

    /// <summary>Of a configuration that has these mistakes: whoever may not read a file has not found one in it.</summary>
    public static int Of(IReadOnlyCollection<ConfigurationMistake> mistakes) =>
        mistakes.Count == 0 ? Ok : mistakes.All(mistake => mistake.NotAllowed) ? NoPermission : Configuration;

    /// <summary>Every code with its meaning, word for word as in the man page.</summary>
    public static IReadOnlyList<(int Code, string Meaning)> All { get; } =
    [
        (Ok, "Done."),
        (Failed, "It was tried and did not succeed: the evacuation failed, the host would not become empty, a peer or the management controller does not answer."),
        (Cancelled, "The evacuation or homecoming that was waited for was cancelled."),
        (Refused, "The service refused: another evacuation is under way, there is nothing to cancel, there is no container, window, node or report of that name."),
        (GoingDown, "With --wait: the host was proven empty and goes down; its witness tells when it is off."),
        (Usage, "Wrong use of the command."),
        (Unavailable, "The service does not run or does not answer, or this host has not joined a fleet."),
        (NoPermission, "Not allowed: it takes root, or a member of group evacuator."),
        (Configuration, "The configuration is wrong; all mistakes are listed."),
        (Interrupted, "With --wait: it was interrupted. What was waited for goes on."),
    ];
}
