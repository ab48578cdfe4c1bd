using System.CommandLine;
using Evacuator.Cli.Bmc;
using Evacuator.Cli.Membership;

namespace Evacuator.Cli;

/// <summary>The command line: one class a verb.</summary>
internal static class EvacuatorCommand
{
    public static RootCommand Create() => HelpLines.Improve(new("Empties this host before someone opens it: moves its containers to the peers, proves it empty, powers it off.")
    {
        CliOptions.Socket,
        CliOptions.ConfigurationFile,
        ServeVerb.Create(),
        StartVerb.Create(),
        StatusVerb.Create(),
        PlanVerb.Create(),
        SignalsVerb.Create(),
        CancelVerb.Create(),
        RetryVerb.Create(),
        RehearseVerb.Create(),
        SettleVerb.Create(),
        ReopenVerb.Create(),
        ReturnVerb.Create(),
        ReportVerb.Create(),
        OnShutdownVerb.Create(),
        WindowVerbs.Create(),
        NoticesVerb.Create(),
        ConfigVerbs.Create(),
        FleetVerbs.Create(),
        AuthorityVerb.Create(),
        BmcVerbs.Create(),
        VersionVerb.Create(),
    });
}
