using System.Diagnostics;
using System.Globalization;

namespace Evacuator.Lab.BmcSimulator.Power;

/// <summary>A machine that is a process: it is on while the process whose id stands in a file lives, and shell commands switch it.</summary>
internal static class ProcessMachine
{
    public static PowerHooks Create(string pidFile, string on, string graceful, string forceOff) => new()
    {
        IsRunning = () => IsAlive(pidFile),
        On = token => RunAsync(on, token),
        Graceful = token => RunAsync(graceful, token),
        ForceOff = token => RunAsync(forceOff, token),
    };

    /// <summary>False also for a missing, empty or half written file: the machine is not up yet.</summary>
    public static bool IsAlive(string pidFile)
    {
        try
        {
            // Asked four times a second: a machine that is off must not cost an exception each time.
            return File.Exists(pidFile) && int.TryParse(File.ReadAllText(pidFile).Trim(), CultureInfo.InvariantCulture, out int pid) && pid > 0
                && File.Exists($"/proc/{pid}/stat") && HasNotEnded(File.ReadAllText($"/proc/{pid}/stat"));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    // "4711 (name with ) in it) Z 1 ...": the state follows the last bracket. A zombie has ended, only nobody has asked for its exit code.
    private static bool HasNotEnded(ReadOnlySpan<char> stat)
    {
        int end = stat.LastIndexOf(')');
        return end > 0 && end + 2 < stat.Length && stat[end + 2] is not ('Z' or 'X');
    }

    /// <exception cref="InvalidOperationException">The command answered with another exit code than 0.</exception>
    private static async Task RunAsync(string command, CancellationToken token)
    {
        using Process process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", command]) { UseShellExecute = false })
            ?? throw new InvalidOperationException($"/bin/sh could not be started for: {command}");
        await process.WaitForExitAsync(token);
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"exit code {process.ExitCode} from: {command}");
        }
    }
}
