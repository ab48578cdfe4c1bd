using System.CommandLine;
using Evacuator.Hosting;

namespace Evacuator.Cli;

internal static class ServeVerb
{
    public static Command Create() => Verb.Create("serve", "Runs the service; systemd does this.", (context, _) => ServeHandler.RunAsync(context.ConfigurationFile));
}
