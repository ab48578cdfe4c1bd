using System.CommandLine;
using Evacuator.Common.Fleet;
using Evacuator.Hosting;

namespace Evacuator.Cli;

internal static class VersionVerb
{
    public static Command Create() => Verb.Create("version", "Shows the version of the program and of the protocol between nodes.", (context, _) =>
    {
        context.Out.WriteLine($"evacuator {ProgramVersion.Text}, protocol {ProtocolVersions.Brains.Describe()}");
        return Task.FromResult(CliExit.Ok);
    });
}
