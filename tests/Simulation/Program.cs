using System.Globalization;
using System.Text.Json;
using Evacuator.Simulation;
using Evacuator.Testing;

// Rolling maintenance of a large fleet with the real planner and a real etcd; see FleetSimulation.
// Usage: Simulation [NODES [CONTAINERS [LIMIT_PERCENT [RESULT_JSON]]]]
if (EtcdServer.WhyNone is { } why)
{
    Console.Error.WriteLine(why);
    return 1;
}

int nodes = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 1000;
int containers = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : nodes * 50;
int limit = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 5;
string folder = Directory.CreateTempSubdirectory("evacuator-simulation-").FullName;
try
{
    await using EtcdServer etcd = await EtcdServer.StartAsync(Path.Combine(folder, "etcd"), durable: true);
    // Nodes are not alike: as many large ones as may be out at once hold more than their share.
    SimulationOptions options = new(nodes, containers, limit, HealthyPercent: 100 - (2 * limit), TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
    using FleetSimulation simulation = new(options, etcd);
    using CancellationTokenSource stop = new();
    Console.CancelKeyPress += (_, e) => { e.Cancel = true; stop.Cancel(); };
    SimulationResult result = await simulation.RunAsync(stop.Token);
    foreach ((string what, string figure) in result.Lines())
        Console.WriteLine($"{what,-46} {figure}");
    if (args.Length > 3)
        await File.WriteAllTextAsync(args[3], JsonSerializer.Serialize(result.Lines().ToDictionary(line => line.What, line => line.Figure), new JsonSerializerOptions { WriteIndented = true }));
    string[] broken = [.. result.Broken()];
    foreach (string text in broken)
        Console.WriteLine($"BROKEN: {text}");
    return broken.Length == 0 ? 0 : 1;
}
finally
{
    Directory.Delete(folder, recursive: true);
}
