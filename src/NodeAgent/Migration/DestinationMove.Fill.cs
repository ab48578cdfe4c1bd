using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Processes;

namespace Evacuator.NodeAgent.Migration;

/// <summary>The engine's part at the destination: memory that arrived ahead of the images and is filled in after the restore.</summary>
internal sealed partial class DestinationMove
{
    private readonly List<string> _storedDescriptors = [];

    /// <summary>Tells the images which pages come later, and takes the place of `criu lazy-pages`.</summary>
    private void PrepareFill()
    {
        foreach ((int pid, ProcessPages store) in _stores)
        {
            string path = Path.Combine(_tools.Paths.Images(Id), $"pagemap-{pid}.img");
            // A process that ended in the last moment has no image, and nothing is owed to it.
            if (File.Exists(path))
                File.WriteAllBytes(path, PagemapImage.Read(File.ReadAllBytes(path)).WithLazy(store.Runs()).Write());
        }
        _lazy = LazySession.Listen(_stores, _tools.Paths.CriuWork(Id), _tools.Time, _log, _tools.EndAgent, KeepDescriptors);
        _tools.Fills[_record.Container] = _lazy.Filled;
    }

    /// <summary>Restores; the network is connected as soon as the sockets exist, which with the engine is before runc has ended.</summary>
    private async Task<CommandResult> RestoreAsync(ContainerDescription container, FreezeClock clock)
    {
        Task<CommandResult> restoring = _restore!.GoAsync();
        if (_lazy is null || await Task.WhenAny(restoring, _lazy.Restored) == restoring)
            return await restoring;
        if (_lazy.Restored.IsCompletedSuccessfully)
            clock.Time("connect-early", () => Connect(container));
        else
            // Nobody answers the restored tasks' faults, so this restore can only hang: end it, and say why.
            await _restore.KillAsync();
        CommandResult result = await restoring;
        return _lazy.Restored.IsFaulted ? result with { ExitCode = result.ExitCode == 0 ? 1 : result.ExitCode, Errors = _lazy.Restored.Exception!.GetBaseException().Message } : result;
    }

    /// <summary>systemd keeps what a restarted agent needs to go on: without the last reference to a userfaultfd its process would read zeroes.</summary>
    private void KeepDescriptors(LazyProcess process)
    {
        // After a restart of the agent some numbers are taken, and a second descriptor of the same name would take the place of the first.
        int number = _storedDescriptors.Count;
        while (_storedDescriptors.Any(stored => stored.EndsWith($".{number}", StringComparison.Ordinal)))
            number++;
        string name = $"{Id:N}.{process.VirtualPid}.{number}";
        _storedDescriptors.Add(name);
        // Not polled: systemd would read "ready" as "closed" from a userfaultfd with events in it, and drop it.
        _tools.Systemd.StoreDescriptor(process.UserFault, name + ".uffd", poll: false);
        _tools.Systemd.StoreDescriptor(process.DataFile, name + ".data", poll: false);
        _tools.Systemd.StoreDescriptor(process.TableFile, name + ".table", poll: false);
    }

    private async void Watch(LazySession session)
    {
        _tools.Fills[_record.Container] = session.Filled;
        try
        {
            FillReport report = await session.Filled;
            LogFilled(_log, _record.Container, report.Pages * (long)Interop.PageSize >> 20, report.Milliseconds, report.Faults);
            ForgetDescriptors();
            DeleteWork();
            _tools.Fills.TryRemove(new(_record.Container, session.Filled));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The descriptors stay with systemd: a restart of the agent tries again.
            LogFillFailed(_log, e, _record.Container);
        }
    }

    /// <summary>Goes on with the processes that were owed pages when an earlier life of the agent ended.</summary>
    internal void ResumeFill(IReadOnlyList<KeptDescriptors> kept)
    {
        List<LazyProcess> processes = [];
        // A forked child reads the same data as its parent: one mapping, as many shares as tables.
        foreach (IGrouping<int, KeptDescriptors> family in kept.GroupBy(process => process.VirtualPid))
        {
            ProcessPages? pages = null;
            foreach (KeptDescriptors process in family)
            {
                _storedDescriptors.Add(process.Name);
                RegionTable owed;
                if (pages is null)
                {
                    pages = ProcessPages.Open(process.Data, process.Table);
                    owed = pages.Table;
                }
                else
                {
                    pages.AddUser();
                    process.Data.Dispose();
                    owed = RegionTable.Open(process.Table);
                }
                processes.Add(new LazyProcess(process.UserFault, pages, owed, owed.ReadMoves()));
            }
        }
        Directory.CreateDirectory(_tools.Paths.CriuWork(Id));
        _lazy = LazySession.Resume(processes, _tools.Paths.CriuWork(Id), _tools.Time, _log, _tools.EndAgent, KeepDescriptors);
        Watch(_lazy);
    }

    private void ForgetDescriptors()
    {
        foreach (string name in _storedDescriptors)
            foreach (string kind in KeptDescriptors.Kinds)
                _tools.Systemd.RemoveDescriptor($"{name}.{kind}");
        _storedDescriptors.Clear();
    }

    private void EndFill()
    {
        if (_lazy is not null)
            _tools.Fills.TryRemove(new(_record.Container, _lazy.Filled));
        _lazy?.Dispose();
        _lazy = null;
        ForgetDescriptors();
        foreach (ProcessPages store in _stores.Values)
            store.Dispose();
        _stores.Clear();
    }
}
