using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Xunit.Abstractions;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>
/// The same at point after point, with one container and one connection for all of them. Where it fails, the rest is seen all the same, with a container of its own, and all that failed is told at the end.
/// With EVACUATOR_ALL_FAULTS=1 at all points, of which EVACUATOR_FAULTS, a regular expression, can choose some.
/// </summary>
internal sealed class PointLoop(ProductRack rack, ITestOutputHelper output)
{
    private static readonly Regex s_chosen = new(Environment.GetEnvironmentVariable("EVACUATOR_FAULTS") ?? "", RegexOptions.CultureInvariant);

    private readonly List<double> _restarts = [];

    public static bool All => Environment.GetEnvironmentVariable("EVACUATOR_ALL_FAULTS") == "1";

    /// <param name="points">what to go through</param>
    /// <param name="begin">begins on a rack that is as it was, and answers what is to be done at each point</param>
    public async Task RunAsync(IEnumerable<string> points, Func<Scene, Func<string, Task>> begin)
    {
        Queue<string> left = new(points.Where(point => s_chosen.IsMatch(point)));
        List<string> failures = [];
        int all = left.Count;
        while (left.Count > 0)
        {
            string point = "";
            try
            {
                await rack.RunAsync(async scene =>
                {
                    Func<string, Task> at = begin(scene);
                    while (left.TryDequeue(out string? next))
                    {
                        point = next;
                        long start = Stopwatch.GetTimestamp();
                        await at(point);
                        Say($"{point}: {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s");
                    }
                });
            }
            catch (Exception e) when (e is InvalidOperationException or Xunit.Sdk.XunitException)
            {
                // A rack that is not cleared up after the last point fails at it, too.
                Say($"{point}: FAILED");
                failures.Add($"{point}: {e.Message}");
            }
        }

        if (_restarts.Count > 0)
            Say($"{_restarts.Count} restarts, median {_restarts.Order().ElementAt(_restarts.Count / 2):0.00} s, longest {_restarts.Max():0.00} s");
        Assert.True(failures.Count == 0, $"{failures.Count} of {all} points\n{string.Join("\n\n", failures)}");
    }

    /// <summary>Waits until a killed service answers again, and fails if it was away for too long.</summary>
    /// <param name="before">its process that was killed</param>
    public async Task BackAsync(Node node, string unit, string before, string point)
    {
        (double away, double limit) = await node.BackAsync(unit, before);
        _restarts.Add(away);
        Say($"{point}: {unit} on {node} was away for {away:0.00} s");
        Assert.True(away < limit, $"{point}: {unit} on {node} was away for {away:0.00} s");
    }

    private void Say(FormattableString line) => output.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
