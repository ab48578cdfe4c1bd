using System.Runtime.InteropServices;
using System.Text.Json.Nodes;

namespace Evacuator.Bench.Rack;

/// <summary>"Bench rack": everything that bench.sh measures, on a rack that is up.</summary>
internal static class RackCommand
{
    public const string Usage = "Bench rack PROJECT_ROOT RACK [--quick] [--only CASE[,CASE]...] [--runs N] [--no-plain]";

    private static readonly IReadOnlyList<string> s_cases = [.. BenchCase.All.Select(item => item.Name), "parallel", "overhead", "wire", "fill"];

    /// <summary>Before a rack is made for them: whether the options make sense.</summary>
    /// <returns>0; 2 for wrong use</returns>
    public static int Check(string[] options) => Parse([".", "", .. options], out string wrong) is null ? Refuse(wrong) : 0;

    /// <returns>0; 1 if a case failed; 2 for wrong use; 130 after Ctrl-C</returns>
    public static async Task<int> RunAsync(string[] arguments)
    {
        if (Parse(arguments, out string wrong) is not { } options)
            return Refuse(wrong);
        using CancellationTokenSource stop = new();
        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Cancel();
        }
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop), terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        string artifacts = Path.Combine(options.ProjectRoot, "artifacts");
        BenchResults results = new(Path.Combine(artifacts, "bench.json"));
        try
        {
            await new RackBench(options, results).RunAsync(stop.Token);
        }
        catch (OperationCanceledException)
        {
            results.AddFailure("bench", "interrupted");
            results.Save();
            return 130;
        }
        results.Save();
        BenchTable.Print(results.Root, Console.Out);
        BenchCharts.Write(results.Root, artifacts);
        return results.HasFailures ? 1 : 0;
    }

    /// <summary>Table and charts of results that are there already, beside them.</summary>
    public static int Draw(string file)
    {
        JsonObject results = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        BenchTable.Print(results, Console.Out);
        BenchCharts.Write(results, Path.GetDirectoryName(Path.GetFullPath(file))!);
        return 0;
    }

    private static int Refuse(string wrong)
    {
        Console.Error.WriteLine($"bench: {wrong}\nusage: {Usage}\ncases: {string.Join(' ', s_cases)}; simulation and planner run alone");
        return 2;
    }

    private static RackBenchOptions? Parse(string[] arguments, out string wrong)
    {
        wrong = "a folder and a rack are missing";
        if (arguments is not [var root, var rack, .. var rest])
            return null;
        RackBenchOptions options = new(Path.GetFullPath(root), rack, Quick: false, new HashSet<string>(), Runs: 3, Plain: true);
        for (int i = 0; i < rest.Length; i++)
            switch (rest[i])
            {
                case "--quick": options = options with { Quick = true, Runs = 1 }; break;
                case "--no-plain": options = options with { Plain = false }; break;
                case "--only" when i + 1 < rest.Length: options = options with { Only = rest[++i].Split(',').ToHashSet() }; break;
                case "--runs" when i + 1 < rest.Length && int.TryParse(rest[i + 1], out int runs) && runs > 0: options = options with { Runs = runs }; i++; break;
                default:
                    wrong = $"{string.Join(' ', rest[i..])} is no option, or lacks its value";
                    return null;
            }
        wrong = $"unknown case {string.Join(", ", options.Only.Except(s_cases))}";
        return options.Only.All(s_cases.Contains) ? options : null;
    }
}
