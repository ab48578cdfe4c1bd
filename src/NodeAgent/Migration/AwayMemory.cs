using System.Net;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Transfer;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// The source's half of post-copy: memory of the frozen container that the destination fetches when it needs it, and all the rest beside. A
/// connection that breaks is opened again for as long as it takes; the container at the destination waits meanwhile and loses nothing.
/// </summary>
internal sealed partial class AwayMemory : IAsyncDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(300);

    private readonly PeerClient _peer;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly string _container;
    private readonly AwayServer _server;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private CancellationTokenSource _connections = new();
    private Task[] _serving = [];
    private volatile string _problem = "";

    private AwayMemory(ContainerDescription container, PeerClient peer, MoveTools tools, ILogger log)
    {
        (_peer, _time, _log, _container) = (peer, tools.Time, log, container.Name);
        // It is frozen: none is added, and one that is killed is missed when its memory is asked for.
        Dictionary<int, int> processes = [];
        foreach (int pid in Memory.ProcFiles.ProcessesOfCgroup(KernelPaths.Default.CgroupDirectory(container.CgroupPath)))
            if (ProcessStatus.Read(pid) is { IsZombie: false } status)
                processes[status.NamespacePid] = pid;
        _server = new AwayServer(pid => processes.TryGetValue(pid, out int hostPid) ? hostPid : null, tools.Bandwidth.Charge);
    }

    /// <summary>Ends when the destination has said on both connections, or in answer to a new one, that it has everything.</summary>
    public Task Fetched => Task.WhenAll(_serving);

    /// <summary>What holds it up now; empty if nothing does.</summary>
    public string Problem => _problem;

    /// <summary>Opens both connections; the container is frozen, and may not be released before this has ended well.</summary>
    /// <exception cref="HttpRequestException">the destination cannot be reached</exception>
    /// <exception cref="PeerRefusedException">it does not take them</exception>
    public static async Task<AwayMemory> ConnectAsync(ContainerDescription container, PeerClient peer, MoveTools tools, ILogger log, CancellationToken cancel)
    {
        AwayMemory memory = new(container, peer, tools, log);
        try
        {
            Stream[] streams = await Task.WhenAll(peer.OpenAwayAsync(wanted: true, cancel), peer.OpenAwayAsync(wanted: false, cancel));
            memory._serving = [memory.ServeAsync(wanted: true, streams[0]), memory.ServeAsync(wanted: false, streams[1])];
            return memory;
        }
        catch
        {
            await memory.DisposeAsync();
            throw;
        }
    }

    /// <summary>Goes on after a restart of the agent: the container has been released.</summary>
    public static AwayMemory Resume(ContainerDescription container, PeerClient peer, MoveTools tools, ILogger log)
    {
        AwayMemory memory = new(container, peer, tools, log);
        memory._serving = [memory.ServeAsync(wanted: true, null), memory.ServeAsync(wanted: false, null)];
        return memory;
    }

    /// <summary>
    /// The link was cut and is back: TCP itself would notice much later the longer the cut was, and on a connection on which it only listens, never.
    /// </summary>
    public async Task ReconnectAsync()
    {
        CancellationTokenSource old;
        lock (_lock)
            (old, _connections) = (_connections, new CancellationTokenSource());
        await old.CancelAsync();
        old.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_serving).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _server.Dispose();
        _connections.Dispose();
        _stop.Dispose();
    }

    private async Task ServeAsync(bool wanted, Stream? stream)
    {
        while (true)
        {
            using CancellationTokenSource connection = Connection();
            try
            {
                stream ??= await _peer.OpenAwayAsync(wanted, connection.Token);
                await using (stream)
                {
                    _problem = "";
                    await _server.ServeAsync(stream, connection.Token);
                    return;
                }
            }
            catch (PeerRefusedException e) when (e.Status == HttpStatusCode.Gone)
            {
                // It had everything when the last connection broke.
                return;
            }
            catch (OperationCanceledException) when (!_stop.IsCancellationRequested)
            {
                // Connected anew, at once.
                stream = null;
                continue;
            }
            catch (InvalidDataException e)
            {
                if (_problem != e.Message)
                    LogCannotServe(_log, e, _container);
                _problem = e.Message;
            }
            catch (Exception e) when (e is IOException or HttpRequestException or PeerRefusedException)
            {
                if (_problem.Length == 0)
                    LogDisconnected(_log, _container, e.Message);
                _problem = e.Message;
            }
            stream = null;
            await Task.Delay(Pause, _time, _stop.Token);
        }
    }

    /// <summary>Linked: the agent stops, or all is over; connect anew.</summary>
    private CancellationTokenSource Connection()
    {
        lock (_lock)
            return CancellationTokenSource.CreateLinkedTokenSource(_stop.Token, _connections.Token);
    }

    [LoggerMessage(1621, LogLevel.Warning, "{Container}: the destination cannot fetch memory now, and what needs it waits there ({Problem}); connecting again")]
    private static partial void LogDisconnected(ILogger log, string container, string problem);

    [LoggerMessage(1622, LogLevel.Error, "{Container}: memory that the destination waits for cannot be served")]
    private static partial void LogCannotServe(ILogger log, Exception e, string container);
}
