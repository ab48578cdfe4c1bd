using System.Collections.Frozen;
using System.Diagnostics;
using Evacuator.Common.AgentApi;
using Evacuator.Placement;

namespace Evacuator.Simulation;

/// <param name="Placed">containers that found a place</param>
internal sealed record PlannerFigure(string Case, int Peers, int Containers, int Placed, int Runs, double MedianMilliseconds, double LeastMilliseconds, double MostMilliseconds);

/// <summary>How long one plan takes: peers with fifty containers each in ten zones, containers of many sizes, with priorities, spread rules, groups and a zone that they may demand.</summary>
internal sealed class PlannerFigures(int peers, int containers, int runs)
{
    private const long GiB = 1L << 30;
    private const int WarmUps = 15;

    private static readonly PlacementPolicy Policy = new(5, TimeSpan.FromSeconds(10)) { From = new Origin("here", "zone1", "rack0") };

    public IEnumerable<PlannerFigure> Measure()
    {
        Random random = new(1);
        ContainerReport[] leaving = [.. Enumerable.Range(0, containers).Select(number => Container(number, random))];
        long all = leaving.Sum(container => container.MemoryBytes);
        // One of 23 peers has room, all of these together a sixth more than is needed.
        long tight = all / 6 * 7 / (peers / 23 + 1);
        yield return Measure("room for all", leaving, [.. Enumerable.Range(0, peers).Select(number => Peer(number, 96 * GiB))]);
        yield return Measure("hardly room for all", leaving, [.. Enumerable.Range(0, peers).Select(number => Peer(number, number % 23 == 0 ? tight : GiB))]);
        yield return Measure("room for a few: three passes, and reasons", leaving, [.. Enumerable.Range(0, peers).Select(number => Peer(number, GiB))]);
        yield return Measure("room for none", [.. leaving.Select(container => container with { MemoryBytes = container.MemoryBytes + 100 * GiB })], [.. Enumerable.Range(0, peers).Select(number => Peer(number, 96 * GiB))]);
    }

    private PlannerFigure Measure(string name, ContainerReport[] leaving, PeerView[] views)
    {
        Plan plan = Planner.Make(leaving, views, Policy);
        for (int i = 0; i < WarmUps; i++)
            Planner.Make(leaving, views, Policy);
        double[] times = new double[runs];
        for (int i = 0; i < runs; i++)
        {
            long began = Stopwatch.GetTimestamp();
            Planner.Make(leaving, views, Policy);
            times[i] = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        }

        Array.Sort(times);
        return new PlannerFigure($"{name} ({peers} peers, {leaving.Length} containers)", peers, leaving.Length, plan.Containers.Count(planned => planned.Destination is not null), runs,
            Math.Round(times[runs / 2], 2), Math.Round(times[0], 2), Math.Round(times[^1], 2));
    }

    private static PeerView Peer(int number, long free)
    {
        long total = Math.Max(free, 64 * GiB);
        return new PeerView
        {
            Name = $"node{number:0000}",
            Zone = $"zone{number % 10}",
            Rack = $"rack{number / 40}",
            SpreadGroups = [$"spread{number % 50}"],
            Names = Enumerable.Range(0, 50).Select(guest => $"guest{number}-{guest}").ToFrozenSet(StringComparer.Ordinal),
            Addresses = Enumerable.Range(0, 50).Select(guest => $"10.{number >> 8}.{number & 255}.{guest}").ToFrozenSet(StringComparer.Ordinal),
            Host = new HostReport
            {
                Node = $"node{number:0000}",
                BootId = "figures",
                AgentVersion = "1",
                ProtocolVersion = 1,
                Kernel = "6.12.48",
                MemoryTotal = total,
                // The reserve of five percent is not to be had.
                MemoryAvailable = Math.Min(total, free + total / 20),
                MemoryReserved = 0,
                DiskAvailable = 1L << 42,
                Cpus = 32,
                LoadAverage = number % 16,
                InboundOpen = true,
                Requirements = [],
            },
        };
    }

    private static ContainerReport Container(int number, Random random)
    {
        Dictionary<string, string> annotations = new() { ["evacuator.priority"] = $"{random.Next(0, 101)}" };
        if (number % 5 == 0)
            annotations["evacuator.spread"] = $"spread{number % 50}";
        if (number % 7 == 0)
            annotations["evacuator.group"] = $"group{number / 28}";
        if (number % 11 == 0)
            annotations["evacuator.zone"] = $"zone{number % 10}";
        return new ContainerReport
        {
            Name = $"c{number:000}",
            Runtime = "runc",
            State = "running",
            Pid = 1,
            Bundle = $"/srv/c{number}",
            Rootfs = $"/srv/c{number}/rootfs",
            MemoryBytes = random.NextInt64(GiB / 4, 8 * GiB),
            DiskBytes = GiB,
            CpuCores = 0.5,
            Processes = 4,
            Threads = 8,
            Addresses = [$"192.168.{number >> 8}.{number & 255}/16", $"fd00::{number:x}/64"],
            Macs = [],
            Bridges = ["br0"],
            Annotations = annotations,
            Blockers = [],
        };
    }
}
