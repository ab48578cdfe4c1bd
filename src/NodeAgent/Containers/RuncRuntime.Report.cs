using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Network;

namespace Evacuator.NodeAgent.Containers;

internal sealed partial class RuncRuntime
{
    // Memory and open files of a container are walked at most this often, however often the brain asks.
    private static readonly TimeSpan ReportAge = TimeSpan.FromSeconds(3);

    private readonly ConcurrentDictionary<string, (long At, string State, DateTime Config, ContainerReport Report, double Busy)> _reports = new();

    /// <summary>With everything that keeps it from moving; at most three seconds old.</summary>
    /// <exception cref="ContainerException">there is no such container</exception>
    public Task<ContainerReport> ReportAsync(string name, CancellationToken cancel) => Task.Run(() => Report(name, cancel), cancel);

    /// <summary>All containers; one that cannot be read is in it with the reason as its blocker.</summary>
    public Task<IReadOnlyList<ContainerReport>> ReportAllAsync(CancellationToken cancel) => Task.Run<IReadOnlyList<ContainerReport>>(async () =>
    {
        List<ContainerReport> reports = [];
        IReadOnlyList<RuncContainer> containers = List();
        foreach (string gone in _reports.Keys.Except(containers.Select(c => c.Name)))
            _reports.TryRemove(gone, out _);
        foreach (RuncContainer container in containers)
        {
            try
            {
                reports.Add(await Report(container.Name, cancel));
            }
            catch (ContainerException e)
            {
                // Between the list and here it may have ended; then there is nothing to report.
                if (Directory.Exists(Path.Combine(runcRoot, container.Name)))
                    reports.Add(Unknown(container, e.Blocker));
            }
        }
        return reports;
    }, cancel);

    /// <summary>All containers that run or could; without those that cannot be read.</summary>
    public Task<IReadOnlyList<ContainerDescription>> DescribeAllAsync(CancellationToken cancel) => Task.Run<IReadOnlyList<ContainerDescription>>(() =>
    {
        List<ContainerDescription> containers = [];
        foreach (RuncContainer container in List())
        {
            try
            {
                containers.Add(Describe(container.Name, withSettings: false));
            }
            catch (ContainerException)
            {
                // Ended meanwhile, or unreadable; the report of the containers says which.
            }
        }
        return containers;
    }, cancel);

    private async Task<ContainerReport> Report(string name, CancellationToken cancel)
    {
        RuncState state = ReadState(name);
        string status = StateOf(state);
        // Annotations may be mended while it runs, and whoever has just done so asks at once.
        DateTime config = File.GetLastWriteTimeUtc(Path.Combine(state.Bundle, "config.json"));
        if (_reports.TryGetValue(name, out (long At, string State, DateTime Config, ContainerReport Report, double Busy) known) && known.State == status && known.Config == config
            && known.Report.Pid == state.InitPid && time.GetElapsedTime(known.At) < ReportAge)
            return known.Report;

        ContainerDescription container = Describe(name, withSettings: false);
        IReadOnlyList<int> processes = container.CgroupPath.Length > 1 ? CgroupTree.Processes(_paths.CgroupDirectory(container.CgroupPath)) : [];
        ContainerReport report = new()
        {
            Name = name, Runtime = "runc", State = container.State, Pid = container.State == Stopped ? 0 : container.InitPid, Bundle = container.Bundle,
            Rootfs = container.Rootfs, MemoryBytes = container.MemoryBytes,
            DiskBytes = await _disk.MeasureAsync(name, [.. container.Trees.Select(tree => tree.Path)], cancel),
            CpuCores = CpuCores(name, container, known.Busy, known.At, out double busy),
            Processes = processes.Count, Threads = processes.Sum(pid => _proc.Stat(pid)?.Threads ?? 0),
            Addresses =
            [
                .. container.Interfaces.SelectMany(link => link.Addresses)
                    .Where(address => IPAddress.Parse(address.Address) is { IsIPv6LinkLocal: false }).Select(address => $"{address.Address}/{address.PrefixLength}"),
            ],
            Macs = [.. container.Interfaces.Select(link => link.Mac)],
            Bridges = [.. container.Interfaces.Select(link => link.Bridge).OfType<string>().Distinct()],
            Annotations = container.Annotations,
            Blockers = _preflight.Check(container),
        };
        _reports[name] = (time.GetTimestamp(), container.State, config, report, busy);
        return report;
    }

    /// <summary>Processors that it has kept busy since the last look; over its whole life at the first.</summary>
    /// <param name="before">seconds of processor time at the last look</param>
    /// <param name="at">time stamp of the last look; 0 if there was none</param>
    private double CpuCores(string name, ContainerDescription container, double before, long at, out double busy)
    {
        busy = 0;
        if (container.State == Stopped || container.CgroupPath.Length <= 1
            || ParseUsage(ProcFiles.ReadText($"{_paths.CgroupDirectory(container.CgroupPath)}/cpu.stat") ?? "") is not { } now)
            return 0;
        busy = now;
        bool sameLife = at != 0 && _reports.TryGetValue(name, out var known) && known.Report.Pid == container.InitPid && now >= before;
        double seconds = sameLife ? time.GetElapsedTime(at).TotalSeconds : AgeOf(container.InitPid);
        return seconds > 0 ? Math.Round((sameLife ? now - before : now) / seconds, 2) : 0;
    }

    /// <summary>Seconds since the process started; starttime is in ticks of 1/100 s since boot.</summary>
    private double AgeOf(int pid) =>
        _proc.Stat(pid) is { } stat && (ProcFiles.ReadText($"{_proc.Root}/uptime") ?? "").Split(' ') is [var uptime, ..]
            && double.TryParse(uptime, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double now)
            ? now - stat.StartTime / 100.0 : 0;

    /// <summary>"usage_usec 123456" of cpu.stat, in seconds; null without the line.</summary>
    internal static double? ParseUsage(string text)
    {
        foreach (ReadOnlySpan<char> line in text.AsSpan().EnumerateLines())
            if (line.StartsWith("usage_usec ", StringComparison.Ordinal) && long.TryParse(line[11..], NumberStyles.None, CultureInfo.InvariantCulture, out long microseconds))
                return microseconds / 1e6;
        return null;
    }

    private static ContainerReport Unknown(RuncContainer container, Blocker blocker) => new()
    {
        Name = container.Name, Runtime = "runc", State = container.State, Pid = container.Pid, Bundle = container.Bundle, Rootfs = "", MemoryBytes = 0,
        DiskBytes = 0, Processes = 0, Threads = 0, Addresses = [], Macs = [], Bridges = [], Annotations = new Dictionary<string, string>(), Blockers = [blocker],
    };
}
