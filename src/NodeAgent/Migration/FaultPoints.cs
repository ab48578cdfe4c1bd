using System.Diagnostics;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// Named points of a move at which a test (or an operator's drill) makes the agent die or wait. Armed by root writing "kill POINT" or
/// "pause POINT" into /run/evacuator-agent/fault-point; without that file a point costs one failed stat.
/// </summary>
internal sealed class FaultPoints(string file, TimeProvider time)
{
    /// <summary>Longest pause, so that a forgotten file cannot hold a move for ever.</summary>
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(60);

    public async ValueTask ReachAsync(string point)
    {
        if (!File.Exists(file))
            return;
        string order;
        try
        {
            order = (await File.ReadAllTextAsync(file)).Trim();
        }
        catch (IOException)
        {
            return;
        }
        if (order == $"kill {point}")
        {
            File.Delete(file);
            Process.GetCurrentProcess().Kill();
            await Task.Delay(Timeout.InfiniteTimeSpan, time);
        }
        else if (order == $"pause {point}")
        {
            await File.WriteAllTextAsync(file + ".reached", point);
            long start = time.GetTimestamp();
            while (File.Exists(file) && time.GetElapsedTime(start) < LongestPause)
                await Task.Delay(TimeSpan.FromMilliseconds(20), time);
            File.Delete(file + ".reached");
        }
    }
}
