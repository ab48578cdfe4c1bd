using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Hosting;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Migration;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.PageStore;
using Evacuator.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Tests.Migration;

/// <summary>A destination that comes back to a container that runs, and to what systemd kept of its memory.</summary>
public sealed partial class DestinationRecoveryTests : IAsyncLifetime
{
    /// <summary>asm/unistd_64.h.</summary>
    private const long UserFaultFd = 323;

    private readonly string _root = Directory.CreateTempSubdirectory("evacuator-recovery-").FullName;
    private readonly ManualTime _time = new();
    private readonly NetworkHandover _network = new(TimeProvider.System, NullLogger<NetworkHandover>.Instance);
    private readonly MoveJournal _journal;
    private readonly List<string> _removed = [];
    private readonly DescriptorStore _store;

    public DestinationRecoveryTests()
    {
        _journal = MoveJournal.Open($"{_root}/journal", $"{_root}/journal");
        _store = new DescriptorStore(1000, (_, _) => true, _removed.Add);
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        _journal.Dispose();
        await _network.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    /// <summary>Its pages are gone, so its processes can only wait. The last descriptor that is closed would let them read zeroes instead, here or with systemd.</summary>
    [RootFact]
    public async Task PagesOfARunningContainer_NotInSystemdsKeepingAnyMore_ItWaitsForEverAndReadsNoZeroes()
    {
        Guid id = Guid.NewGuid();
        using DestinationMove move = Move(id);
        string link = await RecoverAsync(move, id);
        Assert.Contains("[userfaultfd]", Target(link), StringComparison.Ordinal);

        // What nobody holds is closed by now.
        GC.Collect();
        GC.WaitForPendingFinalizers();

        Assert.Contains("[userfaultfd]", Target(link), StringComparison.Ordinal);
        Assert.Empty(_removed);
        Assert.Equal(1000 - DescriptorStore.PerProcess, _store.Free);
        Assert.Equal(DestinationPhase.Running, move.Record.Phase);
        GC.KeepAlive(move);
    }

    /// <summary>In a method of its own: nothing of it is left on the stack afterwards.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task<string> RecoverAsync(DestinationMove move, Guid id)
    {
        using ProcessPages pages = ProcessPages.Create(7, id);
        KeptDescriptors kept = new("1", id, 7, new SafeFileHandle((int)SystemCall(UserFaultFd, 0x80801), ownsHandle: true), Data: null, pages.Table.File);
        string link = $"/proc/self/fd/{(int)kept.UserFault!.DangerousGetHandle()}";
        await move.RecoverAsync(leaving: false, [kept]);
        return link;
    }

    private static string Target(string link) => new FileInfo(link).LinkTarget ?? "";

    private DestinationMove Move(Guid id)
    {
        DestinationRecord record = new()
        {
            MoveId = id, TokenHash = "", SourceNode = "node1", Container = "c1", MemoryBytes = 1 << 20, LeaseSeconds = 60, Phase = DestinationPhase.Running, BootId = "now", Engine = true,
            SourceKnows = true, KeptProcesses = 1, KeptPages = 4, Updated = _time.GetUtcNow(),
        };
        RuncRuntime runtime = new($"{_root}/state", _network, TimeProvider.System, NullLogger<RuncRuntime>.Instance);
        MoveTools tools = new(runtime, new Preflight(), _network, new CgroupFreezer(TimeProvider.System), _journal, new AgentPaths { Runtime = $"{_root}/run", State = $"{_root}/journal" },
            new FaultPoints($"{_root}/fault-point", TimeProvider.System), _time)
        {
            BootId = "now", RuncRoot = $"{_root}/state", Memory = MemoryFeatures.Probe(), MemoryStreams = 1, LeastSpeedPercent = 50, Systemd = new SystemdNotify(), Descriptors = _store,
            Dumps = new DumpLadder(DumpRule.Plain, "", (_, _) => throw new InvalidOperationException("nothing is to be tried"), "", [], _time, NullLogger.Instance),
        };
        return new DestinationMove(record, tools, NullLogger.Instance);
    }

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial long SystemCall(long number, long argument);
}
