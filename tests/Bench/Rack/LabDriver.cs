using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Evacuator.Bench.Rack;

/// <summary>What went wrong with a case; its message is what the bench says of it.</summary>
internal sealed class BenchException(string message) : Exception(message);

/// <summary>Drives <c>lab/lab</c> for one rack.</summary>
internal sealed class LabDriver(string projectRoot, string rack)
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    /// <summary>Answers what the command wrote, without the line's end.</summary>
    /// <exception cref="BenchException">it ended with another code than 0, or not in time</exception>
    public async Task<string> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancel)
    {
        using Process process = Start(arguments);
        using CancellationTokenSource limited = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limited.CancelAfter(Limit);
        Task<string> output = process.StandardOutput.ReadToEndAsync(CancellationToken.None), errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            await process.WaitForExitAsync(limited.Token);
            string text = await output.WaitAsync(limited.Token);
            return process.ExitCode == 0
                ? text.TrimEnd('\n')
                : throw new BenchException($"lab {string.Join(' ', arguments.Take(6))} ended with {process.ExitCode}: {Last(text + await errors.WaitAsync(limited.Token))}");
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            cancel.ThrowIfCancellationRequested();
            throw new BenchException($"lab {string.Join(' ', arguments.Take(6))} took longer than {Limit.TotalMinutes:0} minutes");
        }
    }

    /// <summary>A shell script in a node.</summary>
    public Task<string> ShAsync(string node, string script, CancellationToken cancel, params string[] arguments) =>
        RunAsync(["exec", node, "--", "sh", "-euc", script, "sh", .. arguments], cancel);

    public Process Start(IReadOnlyList<string> arguments)
    {
        ProcessStartInfo start = new(Path.Combine(projectRoot, "lab", "lab"), arguments)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, Environment = { ["EVACUATOR_LAB"] = rack },
        };
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new BenchException($"cannot run {start.FileName}: {e.Message}");
        }
        process.StandardInput.Close();
        return process;
    }

    private static string Last(string text) => string.Join(" / ", text.Split('\n', StringSplitOptions.RemoveEmptyEntries).TakeLast(3));
}

/// <summary>What a client on the outside host saw, as <c>lab client</c> prints it.</summary>
internal sealed record ClientReport(JsonElement Json)
{
    public double LongestPauseMs => Json.GetProperty("longest_pause_ms").GetDouble();

    /// <summary>What the container itself felt; only mode `memory` knows it.</summary>
    public double WorkloadPauseMs => Json.GetProperty("workload_pause_ms").GetDouble();

    public string? Fault
    {
        get
        {
            List<string> faults = [];
            if (Number("errors") is > 0 and var errors)
                faults.Add($"{errors} errors");
            if (Number("lost") is > 0 and var lost)
                faults.Add($"{lost} lost");
            if (Number("bytes_bad") is > 0 and var bad)
                faults.Add($"{bad} bad bytes");
            return faults.Count == 0 ? null : string.Join(", ", faults);
        }
    }

    private long Number(string name) => Json.TryGetProperty(name, out JsonElement value) ? value.GetInt64() : 0;
}

/// <summary>A client that runs until it is asked what it saw. Owns its process.</summary>
internal sealed class OutsideClient : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task<string> _output;
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _errors;

    private OutsideClient(Process process)
    {
        _process = process;
        _output = process.StandardOutput.ReadToEndAsync();
        _errors = ReadErrorsAsync();
    }

    public static OutsideClient Start(LabDriver lab, string mode, string address, params string[] options) =>
        new(lab.Start(["client", mode, address, "--seconds", "0", "--patience", "240", "--report-ms", "600000", .. options]));

    /// <summary>Until it says that the data it needs is there.</summary>
    public Task ReadyAsync(CancellationToken cancel) => _ready.Task.WaitAsync(TimeSpan.FromMinutes(3), cancel);

    /// <summary>Ends it; it looks once more at all that it can look at.</summary>
    public async Task<ClientReport> EndAsync(CancellationToken cancel)
    {
        Signal("-TERM");
        await _process.WaitForExitAsync(cancel).WaitAsync(TimeSpan.FromMinutes(4), cancel);
        string text = await _output.WaitAsync(cancel);
        try
        {
            return new ClientReport(JsonDocument.Parse(text).RootElement.Clone());
        }
        catch (JsonException)
        {
            throw new BenchException($"the outside client ended with {_process.ExitCode} and without a report");
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }
        await _errors;
        _process.Dispose();
    }

    private async Task ReadErrorsAsync()
    {
        while (await _process.StandardError.ReadLineAsync() is { } line)
            if (line == "ready")
                _ready.TrySetResult();
        _ready.TrySetException(new BenchException("the outside client ended before its data was there"));
        _ = _ready.Task.Exception;
    }

    private void Signal(string signal)
    {
        using Process kill = Process.Start("kill", [signal, _process.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }
}
