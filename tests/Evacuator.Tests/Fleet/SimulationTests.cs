using Evacuator.Simulation;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Fleet;

/// <summary>A small version of what "bench.sh --only simulation" runs with a thousand nodes.</summary>
public sealed class SimulationTests
{
    [EtcdFact]
    public async Task RollingMaintenance_OfAllNodesAtOnce_KeepsLimitAndMinimumAndEveryContainer()
    {
        using TemporaryFolder folder = new();
        await using EtcdServer etcd = await EtcdServer.StartAsync(Path.Combine(folder.Path, "etcd"));
        using FleetSimulation simulation = new(new SimulationOptions(20, 300, 10, 80, TimeSpan.FromMilliseconds(50), TimeSpan.FromMilliseconds(20)), etcd);
        using CancellationTokenSource hang = new(TestLimits.Hang);
        SimulationResult result = await simulation.RunAsync(hang.Token);

        Assert.Empty(result.Broken());
        Assert.True(result.Moves >= 300, $"only {result.Moves} moves");
    }
}
