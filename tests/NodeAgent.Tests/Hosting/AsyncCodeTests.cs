using System.Runtime;
using System.Runtime.CompilerServices;
using Evacuator.NodeAgent.Hosting;

namespace Evacuator.NodeAgent.Tests.Hosting;

public sealed class AsyncCodeTests
{
    [Fact]
    public void Prepare_OfAnAsyncMethod_LeavesTheRuntimeLessToCompile()
    {
        // All three do the same; what they share is compiled by whichever runs first.
        _ = Compiled<Machine<Shared>>();
        AsyncCode.Prepare(typeof(Machine<Prepared>));

        long unprepared = Compiled<Machine<Unprepared>>(), prepared = Compiled<Machine<Prepared>>();

        Assert.True(prepared + 4 < unprepared, $"{prepared} methods were compiled, and {unprepared} without preparation");
    }

    [Fact]
    public void Prepare_OfTheWholeAgent_MeetsNothingThatItCannotPrepare() =>
        Assert.InRange(AsyncCode.Prepare(typeof(AsyncCode).Assembly, CancellationToken.None), 100, 10_000);

    [Fact]
    public void Prepare_CalledOff_EndsAtOnce() => Assert.Equal(0, AsyncCode.Prepare(typeof(AsyncCode).Assembly, new CancellationToken(canceled: true)));

    private static long Compiled<T>()
        where T : struct, IMachine
    {
        long before = JitInfo.GetCompiledMethodCount(currentThread: true);
        Task<int> task = T.Run();
        long after = JitInfo.GetCompiledMethodCount(currentThread: true);
        Assert.Equal(1, task.GetAwaiter().GetResult());
        return after - before;
    }

    private interface IMachine : IAsyncStateMachine
    {
        static abstract Task<int> Run();
    }

    private readonly struct Shared;

    private readonly struct Prepared;

    private readonly struct Unprepared;

    // What the compiler makes of an async method when it optimizes, as for the package; the tests are compiled without. The runtime compiles it anew for each mark.
    private struct Machine<TMark> : IMachine
        where TMark : struct
    {
        private AsyncTaskMethodBuilder<int> _builder;
        private TaskAwaiter _awaiter;
        private bool _waits;

        public static Task<int> Run()
        {
            Machine<TMark> machine = new() { _builder = AsyncTaskMethodBuilder<int>.Create() };
            machine._builder.Start(ref machine);
            return machine._builder.Task;
        }

        public void MoveNext()
        {
            if (_waits)
            {
                _builder.SetResult(1);
                return;
            }
            _waits = true;
            _awaiter = Task.Delay(1).GetAwaiter();
            _builder.AwaitUnsafeOnCompleted(ref _awaiter, ref this);
        }

        public readonly void SetStateMachine(IAsyncStateMachine stateMachine)
        {
        }
    }
}
