using System.Globalization;
using System.Text.Json;
using Evacuator.NodeAgent.Containers;

namespace Evacuator.NodeAgent.Host;

internal sealed partial class EmptinessProof
{
    /// <summary>Every container that a runtime's state directory holds, unless its first process has ended.</summary>
    private int CheckRuntimes(List<string> left, Leaving leaving)
    {
        int examined = 0;
        foreach (string root in options.RuntimeRoots.SelectMany(Expand))
            foreach (string directory in Directory.EnumerateDirectories(root))
            {
                examined++;
                if (!leaving.RuntimeDirectories.Contains(directory) && WhyAlive(directory) is { } why)
                    left.Add($"{root} has container {Path.GetFileName(directory)}: {why}");
            }
        return examined;
    }

    /// <summary>Directories that the pattern means; one that is there and cannot be listed is an exception, and so something left.</summary>
    private static IEnumerable<string> Expand(string pattern)
    {
        int star = pattern.IndexOf("/*", StringComparison.Ordinal);
        if (star < 0)
            return Directory.Exists(pattern) ? [pattern] : [];
        string parent = pattern[..star], rest = pattern[(star + 2)..];
        return Directory.Exists(parent) ? Directory.EnumerateDirectories(parent).SelectMany(child => Expand(child + rest)) : [];
    }

    /// <summary>Null if the container is stopped for sure. runc and youki-like runtimes write state.json, crun writes status; both name the first process.</summary>
    private string? WhyAlive(string directory)
    {
        foreach ((string file, string pid, string start) in (ReadOnlySpan<(string, string, string)>)
            [("state.json", "init_process_pid", "init_process_start"), ("status", "pid", "process-start-time"), ("state.json", "pid", "")])
        {
            if (ProcFiles.ReadBytes(Path.Combine(directory, file)) is not { } json)
                continue;
            try
            {
                using JsonDocument state = JsonDocument.Parse(json);
                if (!state.RootElement.TryGetProperty(pid, out JsonElement number) || !number.TryGetInt32(out int init))
                    continue;
                ulong? started = start.Length > 0 && state.RootElement.TryGetProperty(start, out JsonElement ticks) && ticks.TryGetUInt64(out ulong value) ? value : null;
                return _proc.Stat(init) is { IsZombie: false } process && (started is null || started == process.StartTime)
                    ? string.Create(CultureInfo.InvariantCulture, $"its process {init} ({process.Name}) runs")
                    : null;
            }
            catch (JsonException)
            {
                return $"{file} cannot be understood";
            }
        }
        // Nothing in it: a start or an end that was cut short. Its processes, if any, show in the other checks; what it is remains unknown.
        return Directory.Exists(directory) ? "it has no state that could be read; if it is a remnant, remove the directory" : null;
    }
}
