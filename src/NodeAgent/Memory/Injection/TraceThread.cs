using System.Runtime.ExceptionServices;

namespace Evacuator.NodeAgent.Memory.Injection;

/// <summary>
/// Runs one piece of tracing on a thread of its own, then lets the thread end. The kernel knows a tracer by its thread, and when that thread ends it releases whatever is
/// still attached, even a task that was told to stop and has not: so no path through the tracing code, thrown or returned, can leave a process traced.
/// </summary>
internal static class TraceThread
{
    private const int StackBytes = 256 * 1024;

    public static T Run<T>(Func<T> work)
    {
        T? result = default;
        ExceptionDispatchInfo? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                // Waits of microseconds are of no use when the kernel rounds each up by its default slack of 50.
                Interop.Prctl(Interop.PrctlOption.PR_SET_TIMERSLACK, 1, 0, 0, 0);
                result = work();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        }, StackBytes)
        { IsBackground = true, Name = "trace" };
        thread.Start();
        thread.Join();
        failure?.Throw();
        return result!;
    }
}
