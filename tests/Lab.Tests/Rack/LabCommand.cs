using System.Diagnostics;
using System.Text;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Rack;

/// <summary>What a run of <c>lab/lab</c> came to.</summary>
internal sealed record LabResult(int ExitCode, string Output, string Error)
{
    /// <summary>The output without the line's end; fails the test, with all the lab said, unless the exit code is 0.</summary>
    public string Text
    {
        get
        {
            Assert.True(ExitCode == 0, $"exit code {ExitCode}: {Output}{Error}");
            return Output.TrimEnd('\n');
        }
    }
}

/// <summary>Runs <c>lab/lab</c> for the rack of one name.</summary>
internal sealed class LabCommand(string rack)
{
    // Longer than the lab's own limits: those name what hangs.
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(10);

    public static string Program { get; } = Path.Combine(Prerequisites.ProjectRoot, "lab", "lab");

    public string Rack => rack;

    // Some two hundred evacuations have to be proven.
    private static readonly string s_configuration = Path.Combine(Prerequisites.ProjectRoot, "tests", "Lab.Tests", "Rack", "rack.conf");

    public Task<LabResult> RunAsync(params string[] arguments) => RunAsync(Start(arguments), null);

    public Task<LabResult> RunWithInputAsync(string input, params string[] arguments) => RunAsync(Start(arguments), input);

    /// <summary>Starts the command and leaves it running; the caller owns the process.</summary>
    public Process Start(params string[] arguments)
    {
        var start = new ProcessStartInfo(Program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["EVACUATOR_LAB"] = rack, ["EVACUATOR_LAB_CONFIG"] = s_configuration },
        };
        return Process.Start(start)!;
    }

    /// <summary>Waits for a started command; kills it when it exceeds the limit.</summary>
    public static async Task<LabResult> RunAsync(Process process, string? input)
    {
        using Process owned = process;
        using var limit = new CancellationTokenSource(s_limit);
        Task<string> output = process.StandardOutput.ReadToEndAsync(limit.Token);
        Task<string> error = process.StandardError.ReadToEndAsync(limit.Token);
        try
        {
            await process.StandardInput.WriteAsync(new StringBuilder(input), limit.Token);
            process.StandardInput.Close();
            await process.WaitForExitAsync(limit.Token);
            return new LabResult(process.ExitCode, await output, await error);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"lab/lab {string.Join(' ', process.StartInfo.ArgumentList)} took longer than {s_limit}");
        }
    }

    /// <summary>Repeats a command until its output is the wanted one; fails with the last output after a minute.</summary>
    public async Task UntilAsync(string wanted, params string[] arguments)
    {
        long started = Stopwatch.GetTimestamp();
        LabResult result;
        do
        {
            result = await RunAsync(arguments);
            if (result.ExitCode == 0 && result.Output.TrimEnd('\n') == wanted)
            {
                return;
            }

            await Task.Delay(100);
        }
        while (Stopwatch.GetElapsedTime(started) < TimeSpan.FromMinutes(1));
        Assert.Fail($"lab {string.Join(' ', arguments)} does not come to '{wanted}': {result.Output}{result.Error}");
    }
}
