using System.CommandLine;
using System.Text.Json;
using Evacuator.Common.AgentApi;

namespace Evacuator.Cli;

/// <summary>What all verbs have in common: where they write, and that an expected failure becomes a line on standard error and an exit code.</summary>
internal static class Verb
{
    public static Command Create(string name, string description, Func<VerbContext, CancellationToken, Task<int>> run, params Symbol[] symbols)
    {
        Command command = new(name, description);
        foreach (Symbol symbol in symbols)
        {
            if (symbol is Option option)
                command.Add(option);
            else if (symbol is Argument argument)
                command.Add(argument);
        }

        command.SetAction((parsed, token) => RunAsync(parsed, run, token));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, Func<VerbContext, CancellationToken, Task<int>> run, CancellationToken token)
    {
        VerbContext context = new(parsed);
        try
        {
            return await run(context, token).ConfigureAwait(false);
        }
        catch (CliException e)
        {
            await context.Error.WriteLineAsync($"evacuator: {e.Message}").ConfigureAwait(false);
            return e.ExitCode;
        }
    }
}

/// <summary>One call of a verb.</summary>
internal sealed class VerbContext(ParseResult parsed)
{
    public TextWriter Out { get; } = parsed.InvocationConfiguration.Output;

    /// <summary>Where an answer is read from.</summary>
    public TextReader In { get; } = Console.In;

    public TextWriter Error { get; } = parsed.InvocationConfiguration.Error;

    public string ConfigurationFile => parsed.GetValue(CliOptions.ConfigurationFile)!;

    public BrainClient Connect() => new(parsed.GetValue(CliOptions.Socket)!, HasJoined);

    /// <summary>As the units' ConditionPathExists= has it.</summary>
    private bool HasJoined() => File.Exists(Path.Combine(Path.GetDirectoryName(Path.GetFullPath(ConfigurationFile))!, "tls", "agent.crt"));

    public T? Get<T>(Option<T> option) => parsed.GetValue(option);

    public T? Get<T>(Argument<T> argument) => parsed.GetValue(argument);

    public void WriteJson<T>(T value) => Out.WriteLine(JsonSerializer.Serialize(value, ApiJson.Indented));
}
