using System.Net;
using Evacuator.Lab.BmcSimulator.Power;

namespace Evacuator.Lab.BmcSimulator;

/// <summary>What one simulated BMC is. The defaults suit a test: any loopback port, nothing kept, a machine in memory that is on.</summary>
public sealed record BmcSimulatorSettings
{
    /// <summary>The node's name; UUID and serial number follow from it.</summary>
    public string Name { get; init; } = "node1";

    public IPEndPoint Listen { get; init; } = new(IPAddress.Loopback, 0);

    /// <summary>Where certificate, model, fingerprint and control socket are; null keeps nothing and opens no socket.</summary>
    public string? StateDirectory { get; init; }

    /// <summary>A mock-up directory (the one that holds redfish/v1/index.json) instead of the project's own tree.</summary>
    public string? Tree { get; init; }

    public string User { get; init; } = "evacuator";

    /// <summary>Asked at each login, so that a changed password file counts at once.</summary>
    public Func<string> Password { get; init; } = () => "evacuator";

    public PowerHooks Machine { get; init; } = new SimulatedMachine(running: true).Hooks;

    public int SessionLimit { get; init; } = 16;

    public int SubscriptionLimit { get; init; } = 20;

    public int LogLimit { get; init; } = 1000;

    public int LogPageSize { get; init; } = 50;

    /// <summary>Time between two attempts of a failing push; null takes DeliveryRetryIntervalSeconds of the EventService.</summary>
    public TimeSpan? RetryInterval { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;
}
