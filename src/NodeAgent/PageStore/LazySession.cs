using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.PageStore;

/// <summary>How a fill went.</summary>
/// <param name="Pages">copied in the background</param>
/// <param name="Faults">answered because a process could not wait</param>
/// <param name="Milliseconds">from resume until nothing was owed any more</param>
internal sealed record FillReport(long Pages, long Faults, double Milliseconds);

/// <summary>A page that a process waits for.</summary>
/// <param name="Pid">in the container's pid namespace</param>
/// <param name="Address">in the store</param>
internal readonly record struct WantedPage(int Pid, ulong Address);

/// <summary>
/// Gives a restored container its memory: takes the place of `criu lazy-pages` during `criu restore --lazy-pages`, answers faults on one thread
/// and fills the rest on another, until nothing is owed.
/// </summary>
/// <remarks>
/// CRIU's side, on a unix stream socket "lazy-pages.socket" in its work directory, one connection: for each task i32 virtual pid (negative: a
/// zombie, nothing follows), then one byte with its userfaultfd (SCM_RIGHTS); at last u32 0x52535446 ("RSTF") when all tasks are restored and
/// about to run. Faults may come before that and are answered at once.
///
/// Closing the last descriptor of a userfaultfd makes everything that is still owed read as zero, in silence. So descriptors are closed in two
/// cases only: nothing is owed any more, or the container is being removed (<see cref="Dispose"/>). Whatever else goes wrong ends the agent, with
/// the descriptors open in systemd's store; its next life goes on from there.
/// </remarks>
internal sealed partial class LazySession : IDisposable
{
    private const uint RestoreFinished = 0x52535446;

    /// <summary>64 KiB a batch: the lock is held for about 25 µs, which is what a fault may have to wait.</summary>
    private const int BatchPages = 16;

    /// <summary>Longer than CRIU waits (native/criu-gate.c).</summary>
    private static readonly TimeSpan LongestConnect = TimeSpan.FromSeconds(2);

    /// <summary>Nobody is known to have said that the container runs: faults alone would fill it too slowly.</summary>
    private static readonly TimeSpan LongestRestoreEnd = TimeSpan.FromSeconds(5);

    /// <summary>A process stands still until its fault is answered.</summary>
    private const int UrgentNiceness = -19;

    /// <summary>Nobody waits for the background: the container it fills goes first.</summary>
    private const int BackgroundNiceness = 10;

    private readonly IReadOnlyDictionary<int, ProcessPages> _pages;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Action<Exception> _fatal;
    private readonly Lock _lock = new();

    /// <summary>Held from the reading of a fork until its child is in the list: whoever holds it sees all processes that there are.</summary>
    private readonly Lock _forking = new();

    private readonly List<LazyProcess> _processes = [];
    private readonly TaskCompletionSource _restored = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<FillReport> _filled = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Channel<WantedPage> _wanted = Channel.CreateUnbounded<WantedPage>(new UnboundedChannelOptions { SingleReader = true });

    /// <summary>Since when somebody waits for each page that is away.</summary>
    private readonly ConcurrentDictionary<WantedPage, long> _waitingSince = new();

    private long _waits, _longestWait;

    /// <summary>Set when pages that were away have arrived.</summary>
    private readonly AutoResetEvent _arrived = new(initialState: false);

    private readonly Socket _listener;
    private readonly string _socketPath;
    private readonly ManualResetEventSlim _running = new(initialState: false);
    private readonly ManualResetEventSlim _connected = new(initialState: false);
    private Thread? _filler;

    /// <summary>The fault thread has something to do: the background keeps off the locks meanwhile.</summary>
    private volatile bool _answering;
    private volatile bool _stopping;

    /// <summary>Nothing is owed to anybody, and whoever is forked from now on is owed nothing. Changes under <see cref="_forking"/>.</summary>
    private bool _complete;

    private volatile bool _broken;
    private long _faults;

    private LazySession(
        IReadOnlyDictionary<int, ProcessPages> pages, Socket listener, string socketPath, TimeProvider time, ILogger log, Action<Exception> fatal) =>
        (_pages, _listener, _socketPath, _time, _log, _fatal) = (pages, listener, socketPath, time, log, fatal);

    /// <summary>Ends when CRIU says that all tasks are restored; fails if it goes away before.</summary>
    public Task Restored => _restored.Task;

    /// <summary>Ends when nothing is owed to any process.</summary>
    public Task<FillReport> Filled => _filled.Task;

    /// <summary>Ends when no thread of it touches a process any more, however it went.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Told of each process whose descriptors must outlive this program, as soon as they are here; false if they will not.</summary>
    public Func<LazyProcess, bool>? Keep { get; private init; }

    /// <summary>Asked once all processes are restored and before anybody hears of it; false if not all that was told to <see cref="Keep"/> is safe.</summary>
    public Func<bool>? AllKept { get; private init; }

    /// <summary>The background keeps off while this is so.</summary>
    public Func<bool>? HasToWait { get; set; }

    /// <summary>Pages that are away and that a process stands still for, each once as long as it waits. Ends with the fill.</summary>
    public ChannelReader<WantedPage> Wanted => _wanted.Reader;

    /// <summary>After <see cref="Restored"/>: the tasks' network is there, CRIU may let them run. Without this word it waits, for a second at most (native/criu-gate.c).</summary>
    public void LetRun() => _connected.Set();

    /// <summary>The container runs: the background may begin. Faults are answered from the first on.</summary>
    public void BeginFill()
    {
        LetRun();
        _running.Set();
    }

    /// <summary>Pages that were away when a process needed them.</summary>
    public long Waits => Interlocked.Read(ref _waits);

    /// <summary>The longest that a page was waited for which is here now.</summary>
    public TimeSpan LongestWait => TimeSpan.FromTicks(Interlocked.Read(ref _longestWait));

    /// <summary>Pages that are still at the source.</summary>
    public long PagesAway => Snapshot().Sum(process => process.PagesAway);

    /// <summary>Listens; from now on CRIU may connect.</summary>
    /// <param name="pages">by virtual pid; a task without an entry is owed nothing, and each that is owed anything must come</param>
    /// <param name="workDirectory">CRIU's: the socket's name is relative to it</param>
    /// <param name="fatal">has to end this program: the fill cannot go on, and no descriptor of it may be closed while pages are owed</param>
    public static LazySession Listen(
        IReadOnlyDictionary<int, ProcessPages> pages, string workDirectory, TimeProvider time, ILogger log, Action<Exception> fatal,
        Func<LazyProcess, bool>? keep = null, Func<bool>? allKept = null)
    {
        string path = Path.Combine(workDirectory, "lazy-pages.socket");
        File.Delete(path);
        Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        LazySession session = new(pages, listener, path, time, log, fatal) { Keep = keep, AllKept = allKept };
        session._filler = new Thread(session.Accept) { Name = "lazy fill", IsBackground = true };
        session._filler.Start();
        new Thread(session.AnswerFaults) { Name = "lazy faults", IsBackground = true, Priority = ThreadPriority.AboveNormal }.Start();
        return session;
    }

    /// <summary>Goes on with processes that an earlier life of the agent had begun to fill.</summary>
    /// <inheritdoc cref="Listen"/>
    public static LazySession Resume(
        IReadOnlyList<LazyProcess> processes, string workDirectory, TimeProvider time, ILogger log, Action<Exception> fatal,
        Func<LazyProcess, bool>? keep = null)
    {
        Socket unused = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        LazySession session = new(new Dictionary<int, ProcessPages>(), unused, Path.Combine(workDirectory, "lazy-pages.socket"), time, log, fatal) { Keep = keep };
        session._processes.AddRange(processes);
        foreach (LazyProcess process in processes)
        {
            process.OnWanted = session.Want;
            // Faults that the earlier life had read are told nobody again: whoever waits for a page that is away looks, and asks, once more.
            process.WakeAll();
        }
        session._restored.SetResult();
        session._running.Set();
        session._filler = new Thread(session.Fill) { Name = "lazy fill", IsBackground = true };
        session._filler.Start();
        new Thread(session.AnswerFaults) { Name = "lazy faults", IsBackground = true, Priority = ThreadPriority.AboveNormal }.Start();
        return session;
    }

    /// <summary>Pages that were away are here.</summary>
    /// <param name="pid">in the container's pid namespace</param>
    /// <param name="bytes">whole pages; empty: <paramref name="pages"/> pages are zero</param>
    public void Arrive(int pid, ulong address, int pages, ReadOnlySpan<byte> bytes)
    {
        try
        {
            // Not while a fork is on its way into the list: the child's own table would never hear of them.
            lock (_forking)
            {
                bool stored = false;
                foreach (LazyProcess process in Snapshot())
                {
                    if (process.VirtualPid != pid)
                        continue;
                    // One that is gone stores nothing, and its child may still wait.
                    stored = stored || process.Store(address, bytes);
                    process.Arrived(address, pages, bytes.IsEmpty);
                }
            }
            if (!_waitingSince.IsEmpty)
                for (int page = 0; page < pages; page++)
                    if (_waitingSince.TryRemove(new WantedPage(pid, address + (ulong)page * Interop.PageSize), out long since))
                        NoteWait(_time.GetElapsedTime(since).Ticks);
        }
        catch (IOException e)
        {
            // Not the sender's fault, and whoever waits for the page must not wait for ever.
            Break(e);
        }
        _arrived.Set();
    }

    /// <summary>Stretches that are away, at most <paramref name="limit"/> pages each, in the order of their addresses, once through. What arrives meanwhile may be among them.</summary>
    public IEnumerable<(int Pid, ulong Address, int Pages)> AllAway(int limit)
    {
        foreach (LazyProcess process in Snapshot())
            for (int region = 0, page = 0; process.NextAway(ref region, ref page, limit) is { Pages: > 0 } next;)
                yield return (process.VirtualPid, next.Address, next.Pages);
    }

    /// <summary>Ends it at once. Processes that are still owed pages would read zeroes: only for a restore that is being removed.</summary>
    public void Dispose()
    {
        _stopping = true;
        _connected.Set();
        _listener.Dispose();
        File.Delete(_socketPath);
        _restored.TrySetException(new IOException("the fill was ended before the restore was done"));
        _filled.TrySetException(new IOException("the fill was ended before everything was filled"));
        _wanted.Writer.TryComplete();
        _ = _restored.Task.Exception;
        _ = _filled.Task.Exception;
        if (_broken)
            CloseAll();
    }

    private void Accept()
    {
        try
        {
            using Socket criu = _listener.Accept();
            Span<byte> word = stackalloc byte[4];
            HashSet<int> missing = [.. _pages.Where(process => process.Value.Table.CountPages() + process.Value.Table.CountAway() > 0).Select(process => process.Key)];
            while (true)
            {
                ReadExactly(criu, word);
                uint value = BinaryPrimitives.ReadUInt32LittleEndian(word);
                if (value == RestoreFinished)
                    break;
                int pid = (int)value;
                if (pid < 0)
                    continue;
                SafeFileHandle userFault = Interop.ReceiveDescriptor(criu.SafeHandle) ?? throw new IOException($"CRIU sent no userfaultfd for process {pid}");
                if (!_pages.TryGetValue(pid, out ProcessPages? pages))
                    pages = ProcessPages.Create(pid);
                if (!Add(new LazyProcess(userFault, pages, pages.Table, new AddressMoves())))
                    throw new IOException($"systemd does not keep the descriptors of process {pid}: a restart of the agent would lose its memory");
                missing.Remove(pid);
            }
            if (missing.Count > 0)
                throw new IOException($"CRIU says that all is restored, but processes {string.Join(", ", missing)} never asked for their memory");
            if (AllKept?.Invoke() == false)
                throw new IOException("systemd did not confirm that it keeps the processes' descriptors: a restart of the agent would lose their memory");
            _restored.TrySetResult();
            // What tells CRIU is the end of the connection.
            _ = _connected.Wait(LongestConnect);
        }
        catch (Exception e) when (e is SocketException or IOException or ObjectDisposedException)
        {
            _restored.TrySetException(new IOException($"CRIU ended before the restore was done: {e.Message}", e));
            return;
        }
        finally
        {
            _listener.Dispose();
        }
        // The last steps of the restore need the processors more than pages that nobody has asked for yet.
        _ = _running.Wait(LongestRestoreEnd);
        Fill();
    }

    private static void ReadExactly(Socket socket, Span<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            int read = socket.Receive(buffer);
            if (read == 0)
                throw new IOException("the connection was closed");
            buffer = buffer[read..];
        }
    }

    private bool Add(LazyProcess process, bool keep = true)
    {
        // Kept by systemd before anything else: from here on a page of it can be lost only with the host.
        bool kept = !keep || Keep?.Invoke(process) != false;
        process.OnWanted = Want;
        lock (_lock)
            _processes.Add(process);
        return kept;
    }

    /// <summary>Somebody waits for a page that is away.</summary>
    public void Want(WantedPage page) => _ = _wanted.Writer.TryWrite(page);

    private void Want(LazyProcess process, ulong address)
    {
        WantedPage page = new(process.VirtualPid, address);
        if (_waitingSince.TryAdd(page, _time.GetTimestamp()))
            Interlocked.Increment(ref _waits);
        Want(page);
    }

    private void NoteWait(long ticks)
    {
        for (long longest; ticks > (longest = Interlocked.Read(ref _longestWait));)
            if (Interlocked.CompareExchange(ref _longestWait, ticks, longest) == longest)
                return;
    }

    private LazyProcess[] Snapshot()
    {
        lock (_lock)
            return [.. _processes];
    }

    /// <summary>Copies what nobody has asked for yet, until nothing is owed; the last thing it does is to let go of the processes.</summary>
    private void Fill()
    {
        _ = Interop.SetOwnNiceness(BackgroundNiceness);
        long start = _time.GetTimestamp(), pages = 0;
        try
        {
            while (!_stopping)
            {
                bool owed = false;
                LazyProcess[] processes = Snapshot();
                foreach (LazyProcess process in processes)
                    owed |= FillProcess(process, ref pages);
                if (owed)
                    continue;
                if (processes.Any(process => process.PagesAway > 0))
                {
                    // Not for ever: what a process unmaps needs to arrive no more.
                    _ = _arrived.WaitOne(20);
                    continue;
                }
                // A child may be on its way into the list. One that is forked after this is owed nothing, as its parent is owed nothing.
                lock (_forking)
                {
                    _complete = Snapshot().Length == processes.Length;
                    if (_complete)
                        break;
                }
            }
        }
        catch (Exception e)
        {
            Break(e);
            return;
        }
        if (_stopping)
            return;
        _stopping = true;
        FillReport report = new(pages, Interlocked.Read(ref _faults), _time.GetElapsedTime(start).TotalMilliseconds);
        File.Delete(_socketPath);
        _wanted.Writer.TryComplete();
        _filled.TrySetResult(report);
    }

    private bool FillProcess(LazyProcess process, ref long pages)
    {
        bool owed = false;
        for (int region = 0; region < process.Regions && !_stopping; region++)
        {
            while (!_stopping)
            {
                while (_answering)
                    Thread.Yield();
                // A container that stands still waits; nobody waits for this.
                while (HasToWait?.Invoke() == true && !_stopping)
                    _ = _arrived.WaitOne(1);
                (FillResult result, bool done, int copied) = process.FillSome(region, BatchPages);
                pages += copied;
                if (done || result == FillResult.Gone)
                    break;
                if (result == FillResult.TryAgain)
                {
                    // The fault thread has to read the process's event first: come back to this region in the next turn.
                    owed = true;
                    Thread.Yield();
                    break;
                }
            }
        }
        return owed;
    }

    private unsafe void AnswerFaults()
    {
        _ = Interop.SetOwnNiceness(UrgentNiceness);
        const short PollIn = 1;
        Interop.PollEntry[] entries = [];
        LazyProcess[] processes = [];
        try
        {
            while (!_stopping)
            {
                LazyProcess[] now = Snapshot();
                if (now.Length != processes.Length)
                {
                    processes = now;
                    entries = new Interop.PollEntry[processes.Length];
                }
                for (int i = 0; i < processes.Length; i++)
                    entries[i] = new Interop.PollEntry { Descriptor = processes[i].IsGone ? -1 : (int)processes[i].UserFault.DangerousGetHandle(), Events = PollIn };
                int ready;
                // Short only until the first process is known; then a fault ends the wait, and new processes come with CRIU alone.
                fixed (Interop.PollEntry* first = entries)
                    ready = Interop.Poll(first, (ulong)entries.Length, processes.Length == 0 || !_restored.Task.IsCompleted ? 1 : 20);
                if (ready < 0 && Interop.LastError is not (Interop.Errno.EINTR or Interop.Errno.EAGAIN) and var error)
                    throw Interop.Failure($"poll of {entries.Length} userfaultfds", error);
                if (ready <= 0)
                    continue;
                _answering = true;
                for (int i = 0; i < processes.Length; i++)
                    if (entries[i].Returned != 0)
                        lock (_forking)
                            foreach (LazyProcess child in processes[i].HandleMessages(ref _faults))
                                if (!Add(child, keep: !_complete))
                                    // It is alive and being filled; ending anything for it would lose what this only risks.
                                    LogChildNotKept(_log, child.VirtualPid);
                _answering = false;
            }
        }
        catch (Exception e)
        {
            Break(e);
        }
        _answering = false;
        _running.Set();
        // Closed here, where nobody polls or fills them any more.
        _filler!.Join();
        if (!_broken)
            CloseAll();
        _ended.TrySetResult();
    }

    /// <summary>What nobody has foreseen. Both threads stop where they are and nothing is closed: <see cref="_fatal"/> ends the program.</summary>
    private void Break(Exception e)
    {
        _broken = true;
        _stopping = true;
        LogFillFailed(_log, e);
        _wanted.Writer.TryComplete();
        _restored.TrySetException(e);
        _filled.TrySetException(e);
        _ = _restored.Task.Exception;
        _ = _filled.Task.Exception;
        _fatal(e);
    }

    private void CloseAll()
    {
        foreach (LazyProcess process in Snapshot())
            process.Dispose();
    }

    [LoggerMessage(1502, LogLevel.Error, "a child of process {Pid} was forked before it was filled, and systemd has no room for its descriptors: until it is filled, do not restart the agent")]
    private static partial void LogChildNotKept(ILogger log, int pid);

    [LoggerMessage(1501, LogLevel.Critical, "filling the memory of a restored container cannot go on; nothing is lost: systemd keeps its pages and descriptors for the next life of the agent")]
    private static partial void LogFillFailed(ILogger log, Exception e);
}
