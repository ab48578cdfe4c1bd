using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Evacuator.Evacuation;
using Evacuator.Simulation;
using Evacuator.Testing;

// Rolling maintenance of a large fleet with the real planner and a real etcd (FleetSimulation), or how long a plan takes (PlannerFigures). Exit code 1 if something does not hold.
// Usage: Simulation [NODES [CONTAINERS [LIMIT_PERCENT [RESULT_JSON]]]] | planner [PEERS [CONTAINERS [RUNS [RESULT_JSON]]]]
JsonSerializerOptions json = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };
return args is ["planner", .. var rest] ? await PlanAsync(rest) : await SimulateAsync(args);

async Task<int> PlanAsync(string[] words)
{
    PlannerFigures figures = new(Number(words, 0, 1000), Number(words, 1, 500), Number(words, 2, 31));
    List<PlannerFigure> all = [];
    foreach (PlannerFigure figure in figures.Measure())
    {
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{figure.Case,-46} {figure.MedianMilliseconds:0.0} ms (fastest {figure.LeastMilliseconds:0.0}, slowest {figure.MostMilliseconds:0.0}), {figure.Placed} placed"));
        all.Add(figure);
    }

    if (words.Length > 3)
        await File.WriteAllTextAsync(words[3], JsonSerializer.Serialize(all, json));
    return 0;
}

async Task<int> SimulateAsync(string[] words)
{
    if (EtcdServer.WhyNone is { } why)
    {
        Console.Error.WriteLine(why);
        return 1;
    }

    int nodes = Number(words, 0, 1000);
    int limit = Number(words, 2, 5);
    string folder = Directory.CreateTempSubdirectory("evacuator-simulation-").FullName;
    try
    {
        await using EtcdServer etcd = await EtcdServer.StartAsync(Path.Combine(folder, "etcd"), durable: true);
        // Nodes are not alike: as many large ones as may be out at once hold half as much again as their share, which is more than may be missing.
        SimulationOptions options = new(nodes, Number(words, 1, nodes * 50), limit, HealthyPercent: 99 - limit, Maintenance: TimeSpan.FromSeconds(5), Poll: new BrainTimings().LockPoll);
        using FleetSimulation simulation = new(options, etcd);
        using CancellationTokenSource stop = new();
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, End), terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, End);
        using Timer progress = new(_ => Console.Error.WriteLine(simulation.Progress), null, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(10));
        SimulationResult result = await simulation.RunAsync(stop.Token);
        await progress.DisposeAsync();
        foreach ((string what, string figure) in result.Lines())
            Console.WriteLine($"{what,-46} {figure}");
        if (words.Length > 3)
            await File.WriteAllTextAsync(words[3], JsonSerializer.Serialize(result.Figures(), json));
        string[] broken = [.. result.Broken()];
        foreach (string text in broken)
            Console.WriteLine($"BROKEN: {text}");
        return broken.Length == 0 ? 0 : 1;

        void End(PosixSignalContext signal)
        {
            signal.Cancel = true;
            stop.Cancel();
        }
    }
    catch (OperationCanceledException)
    {
        Console.Error.WriteLine("ended before it was done");
        return 130;
    }
    finally
    {
        Directory.Delete(folder, recursive: true);
    }
}

static int Number(string[] words, int index, int otherwise) => words.Length > index ? int.Parse(words[index], CultureInfo.InvariantCulture) : otherwise;
