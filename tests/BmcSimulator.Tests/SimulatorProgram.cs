using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Evacuator.Lab.BmcSimulator.Tests;

/// <summary>The program as a process of its own.</summary>
internal sealed partial class SimulatorProgram : IDisposable
{
    private const int SigTerm = 15;

    private readonly Process _process;

    public SimulatorProgram(params string[] options)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "BmcSimulator.dll"), .. options])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        _process = Process.Start(start)!;
    }

    public async Task<string?> FirstLineAsync() => await _process.StandardOutput.ReadLineAsync();

    public Task<string> ErrorsAsync() => _process.StandardError.ReadToEndAsync();

    public async Task<int> WaitAsync()
    {
        await _process.WaitForExitAsync();
        return _process.ExitCode;
    }

    public Task<int> TerminateAsync()
    {
        Assert.Equal(0, Kill(_process.Id, SigTerm));
        return WaitAsync();
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        _process.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
