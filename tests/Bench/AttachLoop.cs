using Evacuator.NodeAgent;
using Evacuator.NodeAgent.Memory.Injection;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.Bench;

/// <summary>Injects into one process again and again. Prints a line per second-thousandth so that a test can kill it at a moment of its choice, and the stop times at the end.</summary>
internal static class AttachLoop
{
    public static int Run(int pid, int count)
    {
        UserFaultInjector.Prepare();
        UserFaultInjector injector = new(TimeProvider.System);
        using SafeFileHandle pidfd = Interop.PidfdOpen(pid) ?? throw new InvalidOperationException($"no process {pid}");
        List<double> stops = [];
        Console.WriteLine("ready");
        for (int i = 0; i < count; i++)
        {
            List<int> leftovers = UserFaultInjector.LeftoverDescriptors(pid);
            InjectionResult result = TraceThread.Run(() => injector.Inject(pid, pidfd, leftovers));
            result.UserFault?.Dispose();
            if (result.Outcome == InjectionOutcome.Gone)
                break;
            if (result.Outcome != InjectionOutcome.Injected)
                Console.WriteLine($"{result.Outcome}: {result.Detail}");
            stops.Add(result.Stopped.TotalMicroseconds);
        }
        stops.Sort();
        if (stops.Count > 0)
            Console.WriteLine($"{stops.Count} injections: stop p50 {stops[stops.Count / 2]:0} us, p99 {stops[stops.Count * 99 / 100]:0} us, max {stops[^1]:0} us");
        return 0;
    }
}
