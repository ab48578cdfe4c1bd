using System.CommandLine;
using Evacuator.Cli;

namespace Evacuator.Tests.Cli;

/// <summary>One call of the program, in this process.</summary>
internal static class CliRun
{
    public static async Task<(int Code, string Output, string Error)> RunAsync(string socket, params string[] arguments)
    {
        using StringWriter output = new(), error = new();
        int code = await EvacuatorCommand.Create().Parse([.. arguments, "--socket", socket]).InvokeAsync(new InvocationConfiguration { Output = output, Error = error });
        return (code, output.ToString(), error.ToString());
    }
}
