using System.Collections.Concurrent;
using Evacuator.Common.AgentApi;

namespace Evacuator.Tests.Fakes;

/// <summary>The world outside of the brains: which container runs on which node, and what the machines' power is.</summary>
internal sealed class FakeRack
{
    public ConcurrentDictionary<string, FakeAgent> Agents { get; } = new();

    public FakeBmcs Bmcs { get; } = new();

    /// <summary>Names of the nodes on which a container of this name runs.</summary>
    public IReadOnlyList<string> WhereIs(string container) =>
        [.. Agents.Values.Where(agent => agent.Containers.ContainsKey(container)).Select(agent => agent.Node).Order(StringComparer.Ordinal)];

    public static ContainerReport Container(string name, long memory = 64 << 20, string state = "running", params (string, string)[] annotations) => new()
    {
        Name = name,
        Runtime = "runc",
        State = state,
        Pid = 1000,
        Bundle = $"/var/lib/containers/{name}",
        Rootfs = $"/var/lib/containers/{name}/rootfs",
        MemoryBytes = memory,
        DiskBytes = 10 << 20,
        Processes = 2,
        Threads = 4,
        // One of its own: two containers on a node cannot have the same.
        Addresses = [$"10.{name.Sum(letter => letter) % 250}.{name.Length}.{name[^1] % 250}/24"],
        Macs = ["02:00:00:00:00:07"],
        Bridges = ["br0"],
        Annotations = annotations.ToDictionary(pair => pair.Item1, pair => pair.Item2),
        Blockers = [],
    };
}
