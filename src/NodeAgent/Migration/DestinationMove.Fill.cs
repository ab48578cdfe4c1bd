using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Processes;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// The engine's part at the destination: memory that arrived ahead of the images and is filled in after the restore. From the first page on it is
/// in systemd's keeping, and READY is said only when systemd has confirmed that: what is Ready survives this program.
/// </summary>
internal sealed partial class DestinationMove
{
    /// <summary>systemd answers in a millisecond, unless the host is in trouble; and a container stands still meanwhile.</summary>
    private static readonly TimeSpan KeepingPatience = TimeSpan.FromSeconds(3);

    private DescriptorStore.Share? _share;

    /// <summary>Stores whose descriptors were sent to systemd, and how many of them it has confirmed.</summary>
    private int _kept, _confirmed;

    /// <summary>Why a restore that an earlier life of the agent began, or was to begin, cannot give the container its memory; null if it can.</summary>
    private string? _memoryLost;

    /// <summary>The restore was begun by an earlier life of the agent: that one heard, or not, when the sockets were there.</summary>
    private bool _restoreAdopted;

    /// <summary>Whether the engine is used, and room in systemd's store for it.</summary>
    private (bool Engine, string WhyNot) TakeEngine(Offer offer)
    {
        if (!offer.Engine)
            return (false, "");
        if (!_tools.Memory.CanTrack)
            return (false, $"{Environment.MachineName} cannot take memory ahead: {_tools.Memory.WhyNot}");
        _share = _tools.Descriptors.TryTake(offer.Processes, out string whyNot);
        return (_share is not null, _share is null ? $"on {Environment.MachineName} {whyNot}" : "");
    }

    private ProcessPages NewStore(int pid)
    {
        ProcessPages pages = ProcessPages.Create(pid, Id);
        if (_share?.Keep(pages) == true)
        {
            Interlocked.Increment(ref _kept);
            return pages;
        }
        pages.Dispose();
        throw new InvalidDataException($"there is no room in systemd's store for the descriptors of process {pid}: {_tools.Descriptors.Free} are free (FileDescriptorStoreMax= in evacuator-agent.service)");
    }

    /// <summary>Asks systemd while the dump goes on what it would otherwise be asked after it.</summary>
    private void ConfirmEarly()
    {
        int kept = Volatile.Read(ref _kept);
        if (kept != _confirmed && _tools.Systemd.Barrier(KeepingPatience))
            _confirmed = kept;
    }

    /// <summary>Tells the images which pages come later.</summary>
    /// <exception cref="IOException">what has arrived is not safe from a restart of this program</exception>
    private void CompleteImages()
    {
        // A process that ended in the last moment has no image, and nothing is owed to it.
        PagemapImage.CompleteAll(_tools.Paths.Images(Id), pid => _stores.TryGetValue(pid, out ProcessPages? store) ? store.Runs() : []);
        ConfirmEarly();
        if (_kept != _confirmed)
            throw new IOException("systemd did not confirm that it keeps the memory that has arrived");
    }

    private string PagemapOf(int pid) => Path.Combine(_tools.Paths.Images(Id), $"pagemap-{pid}.img");

    /// <summary>Takes the place of `criu lazy-pages`.</summary>
    private void ListenForRestore()
    {
        foreach (int ended in _stores.Keys.Where(pid => !File.Exists(PagemapOf(pid))).ToArray())
        {
            _stores.Remove(ended, out ProcessPages? nobodys);
            nobodys!.Dispose();
        }
        DescriptorStore.Share share = _share!;
        _lazy = LazySession.Listen(
            _stores, _tools.Paths.CriuWork(Id), _tools.Time, _log, _tools.EndAgent,
            keep: share.Keep, allKept: () => _tools.Systemd.Barrier(KeepingPatience));
        _lazy.HasToWait = () => _tools.Urgent.IsHeld;
        _tools.Fills[_record.Container] = _lazy.Filled;
    }

    /// <summary>Restores; the network is connected as soon as the sockets exist, which with the engine is before runc has ended.</summary>
    private async Task<CommandResult> RestoreAsync(ContainerDescription container, FreezeClock clock)
    {
        if (_memoryLost is { } lost && ArmedCommand.Disarm(_tools.Paths.Armed(Id), AgentPaths.RestoreUnit(Id)))
            return new CommandResult(1, "", lost);
        Task<CommandResult> restoring = _restore!.GoAsync();
        if (_lazy is null || _restoreAdopted || await Task.WhenAny(restoring, _lazy.Restored) == restoring)
        {
            CommandResult ended = await restoring;
            return _memoryLost is null ? ended : ended with { ExitCode = 1, Errors = _memoryLost };
        }
        string? failure = _lazy.Restored.IsFaulted ? _lazy.Restored.Exception!.GetBaseException().Message : null;
        try
        {
            if (failure is null)
            {
                // CRIU waits for us in send (native/criu-gate.c).
                await _tools.Faults.ReachAsync("destination.connecting");
                clock.Time("connect-early", () => Connect(container));
                _lazy.LetRun();
            }
        }
        catch (NetworkException e)
        {
            failure = $"its network could not be connected: {e.Message}";
        }
        if (failure is not null)
        {
            // Nobody answers the restored tasks' faults, so that this restore can only hang, or nobody would hear them. End it, and say why.
            await _restore.KillAsync();
            // CRIU, which holds them still, outlives its unit, since it is in the container's cgroup; without runc it goes no further.
            _lazy.LetRun();
        }
        CommandResult result = await restoring;
        return failure is null ? result : result with { ExitCode = result.ExitCode == 0 ? 1 : result.ExitCode, Errors = failure };
    }

    private async void Watch(LazySession session)
    {
        _tools.Fills[_record.Container] = session.Filled;
        try
        {
            FillReport report = await session.Filled;
            LogFilled(_log, _record.Container, report.Pages * (long)Interop.PageSize >> 20, report.Milliseconds, report.Faults);
            // Before the descriptors go: with them a restarted agent finds out once more that nothing is away.
            await NoteFetchedAsync();
            ReleaseShare();
            DeleteWork();
            _tools.Fills.TryRemove(new(_record.Container, session.Filled));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The descriptors stay with systemd: a restart of the agent tries again.
            LogFillFailed(_log, e, _record.Container);
        }
    }

    /// <summary>Takes up the memory that was here when an earlier life of the agent ended, before anything else is done with the move.</summary>
    private void AdoptMemory(IReadOnlyList<KeptDescriptors> kept)
    {
        if (kept.Count == 0 && !_record.Engine)
            return;
        _share = _tools.Descriptors.Adopt(kept);
        try
        {
            _restoreAdopted = _record.Phase == DestinationPhase.Resuming && File.Exists(Path.Combine(_tools.Paths.Armed(Id), "started"));
            if (_record.Phase == DestinationPhase.Running || _restoreAdopted)
            {
                if (_restoreAdopted)
                    _memoryLost = WhatTheRestoreLacks(kept);
                if (kept.Any(process => process.UserFault is not null))
                    ResumeFill(kept);
                return;
            }
            foreach (KeptDescriptors process in kept)
                if (process.Data is not null)
                    _stores[process.VirtualPid] = ProcessPages.Open(process.Data, process.Table);
            if (_record.Phase is not (DestinationPhase.Ready or DestinationPhase.Resuming))
                return;
            (long pages, long away) = (_stores.Values.Sum(store => store.Table.CountPages()), _stores.Values.Sum(store => store.Table.CountAway()));
            if (_stores.Count == _record.KeptProcesses && pages == _record.KeptPages && away == _record.AwayPages)
                ListenForRestore();
            else
                _memoryLost = $"of the memory that had arrived at {Environment.MachineName}, {_record.KeptPages} pages of {_record.KeptProcesses} processes, "
                    + $"{pages} pages of {_stores.Count} processes are left after its agent ended";
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            // Where it runs already this is for people: its processes wait for pages that nobody brings, but none reads a wrong one.
            _memoryLost = $"the memory that {Environment.MachineName} kept cannot be taken up again: {e.Message}";
            LogMemoryLost(_log, e, _record.Container);
        }
    }

    /// <summary>
    /// The restored tasks stand still until this program thaws them, so none has read anything yet; but a userfaultfd that died with the earlier life
    /// never brings its process's pages.
    /// </summary>
    /// <returns>null if all is there</returns>
    private string? WhatTheRestoreLacks(IReadOnlyList<KeptDescriptors> kept)
    {
        int here = kept.Count(process => process.Data is not null);
        int[] without = [.. kept.Where(process => process.UserFault is null && File.Exists(PagemapOf(process.VirtualPid))).Select(process => process.VirtualPid)];
        return here >= _record.KeptProcesses && without.Length == 0
            ? null
            : $"the agent of {Environment.MachineName} ended while it took over the restored processes: pages of {here} of {_record.KeptProcesses} are left, "
                + $"and {without.Length} ({string.Join(", ", without)}) have no userfaultfd";
    }

    /// <summary>Goes on with the processes that were owed pages when an earlier life of the agent ended.</summary>
    private void ResumeFill(IReadOnlyList<KeptDescriptors> kept)
    {
        List<LazyProcess> processes = [];
        // A forked child reads the same data as its parent: one mapping, as many shares as tables.
        foreach (IGrouping<int, KeptDescriptors> family in kept.GroupBy(process => process.VirtualPid))
        {
            KeptDescriptors first = family.FirstOrDefault(process => process.Data is not null)
                ?? throw new InvalidDataException($"the pages of process {family.Key} are not in systemd's keeping any more, but somebody still waits for them");
            ProcessPages pages = ProcessPages.Open(first.Data!, first.Table);
            if (first.UserFault is not null)
                processes.Add(new LazyProcess(first.UserFault, pages, pages.Table, pages.Table.ReadMoves()));
            else
                _stores[family.Key] = pages;
            foreach (KeptDescriptors child in family.Where(process => process != first && process.UserFault is not null))
            {
                pages.AddUser();
                RegionTable owed = RegionTable.Open(child.Table);
                processes.Add(new LazyProcess(child.UserFault!, pages, owed, owed.ReadMoves()));
            }
        }
        Directory.CreateDirectory(_tools.Paths.CriuWork(Id));
        _lazy = LazySession.Resume(processes, _tools.Paths.CriuWork(Id), _tools.Time, _log, _tools.EndAgent, _share!.Keep);
        _lazy.HasToWait = () => _tools.Urgent.IsHeld;
        _tools.Fills[_record.Container] = _lazy.Filled;
    }

    private void ReleaseShare()
    {
        _share?.Release();
        _share = null;
    }

    private void EndFill()
    {
        if (_lazy is not null)
            _tools.Fills.TryRemove(new(_record.Container, _lazy.Filled));
        _lazy?.Dispose();
        _lazy = null;
        ReleaseShare();
        foreach (ProcessPages store in _stores.Values)
            store.Dispose();
        _stores.Clear();
        RemoveShared();
    }
}
