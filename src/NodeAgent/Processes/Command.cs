using System.Diagnostics;
using System.Text;

namespace Evacuator.NodeAgent.Processes;

/// <summary>What a finished command left behind.</summary>
/// <param name="ExitCode">its exit code; 128 + signal number if a signal ended it, as a shell says it</param>
/// <param name="Output">standard output, the last 64 KiB of it</param>
/// <param name="Errors">standard error, the last 64 KiB of it</param>
internal sealed record CommandResult(int ExitCode, string Output, string Errors)
{
    public bool Succeeded => ExitCode == 0;

    /// <summary>The last lines of what it said, for an error message.</summary>
    public string Tail(int lines = 3)
    {
        string text = Errors.Trim().Length > 0 ? Errors : Output;
        return string.Join(" | ", text.Trim().Split('\n').TakeLast(lines).Select(line => line.Trim()));
    }
}

/// <summary>Runs Debian's tools: no shell, bounded output, killed with its children when the caller gives up.</summary>
internal static class Command
{
    private const int KeptOutput = 64 * 1024;

    /// <exception cref="CommandException">it could not be started</exception>
    /// <exception cref="OperationCanceledException">the caller gave up; the command has been killed</exception>
    public static async Task<CommandResult> RunAsync(
        string program, IEnumerable<string> arguments, CancellationToken cancel,
        IReadOnlyDictionary<string, string>? environment = null, string? workingDirectory = null)
    {
        ProcessStartInfo start = new(program)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = workingDirectory ?? "/",
        };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>())
            start.Environment[name] = value;

        using Process process = new() { StartInfo = start };
        try
        {
            process.Start();
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new CommandException($"cannot start {program}: {e.Message}", e);
        }
        process.StandardInput.Close();
        Task<string> output = ReadTailAsync(process.StandardOutput);
        Task<string> errors = ReadTailAsync(process.StandardError);
        try
        {
            await process.WaitForExitAsync(cancel);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
        return new CommandResult(process.ExitCode, await output, await errors);
    }

    /// <summary>Like <see cref="RunAsync"/>, and anything but exit code 0 is an exception that carries the command's own words.</summary>
    public static async Task<CommandResult> RunCheckedAsync(
        string program, IEnumerable<string> arguments, CancellationToken cancel, IReadOnlyDictionary<string, string>? environment = null)
    {
        CommandResult result = await RunAsync(program, arguments, cancel, environment);
        return result.Succeeded ? result : throw new CommandException($"{program} ended with {result.ExitCode}: {result.Tail()}");
    }

    private static async Task<string> ReadTailAsync(StreamReader reader)
    {
        // The process leaves them open when it is disposed of: they would pile up until the next collection.
        using StreamReader owned = reader;
        StringBuilder kept = new();
        char[] buffer = new char[4096];
        int read;
        while ((read = await reader.ReadAsync(buffer)) > 0)
        {
            kept.Append(buffer, 0, read);
            if (kept.Length > 2 * KeptOutput)
                kept.Remove(0, kept.Length - KeptOutput);
        }
        return kept.ToString();
    }
}

/// <summary>A tool that we depend on could not do its work; the message holds its own words.</summary>
internal sealed class CommandException(string message, Exception? cause = null) : Exception(message, cause);
