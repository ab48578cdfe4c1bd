using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Transfer;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// Post-copy: memory that stayed at the source and is fetched while the container runs here already. Until the journal says that it is all here
/// (<see cref="Journal.DestinationRecord.Fetched"/>), the source's frozen copy is not known to be dispensable, and is kept.
/// </summary>
internal sealed partial class DestinationMove
{
    private readonly AwayLane _wantedLane = new(), _restLane = new();
    private AwayPuller? _puller;

    /// <summary>Why a connection for memory is of no use now; null if it is.</summary>
    public (int Status, string Text)? WhyNoFetch() => _record switch
    {
        { AwayPages: > 0, Fetches: false } => (StatusCodes.Status410Gone, "everything is here"),
        { Phase: not (DestinationPhase.Ready or DestinationPhase.Resuming or DestinationPhase.Running) } record => (StatusCodes.Status409Conflict, $"the move is {record.Phase}"),
        { AwayPages: 0 } => (StatusCodes.Status410Gone, "nothing was away"),
        _ when _lazy is null => (StatusCodes.Status503ServiceUnavailable,
            $"what {Environment.MachineName} has of the memory cannot be taken up{(_memoryLost is { } lost ? $": {lost}" : " yet")}"),
        _ => null,
    };

    /// <summary>One connection of the source; a new one takes the place of an older one, which may be dead without anybody having noticed.</summary>
    /// <param name="wanted">for pages that processes stand still for; else for all others</param>
    public async Task FetchAsync(bool wanted, Stream source, CancellationToken cancel)
    {
        if (_lazy is not { } session)
            return;
        AwayPuller puller = LazyInitializer.EnsureInitialized(ref _puller, () => new AwayPuller(session));
        AwayLane lane = wanted ? _wantedLane : _restLane;
        try
        {
            await lane.RunAsync(async token =>
            {
                if (wanted)
                {
                    await puller.PullWantedAsync(source, token);
                    return;
                }
                // Before that only what the restore itself asks for is worth the wire.
                await session.Restored.WaitAsync(token);
                await puller.PullAllAsync(source, token);
            }, cancel);
        }
        catch (OperationCanceledException)
        {
            // Another has taken its place, or the source has ended it.
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            if (_record.Fetches)
                LogFetchBroke(_log, _record.Container, _record.SourceNode, e.Message);
        }
    }

    /// <summary>
    /// The source's host was rebooted, and with it went memory that was not here yet. What waits for it would wait for ever, and what runs would
    /// run into it: it is removed. Its files are set aside, as of now.
    /// </summary>
    public async Task<PeerReply> SourceLostAsync()
    {
        // A restore that waits for such a page holds the gate.
        if (_record is { Phase: DestinationPhase.Resuming, Fetches: true } && _restore is { } restore)
            await restore.KillAsync();
        using Gate gate = await EnterAsync(CancellationToken.None);
        string reason = $"{_record.SourceNode} was restarted while memory of the container was still there: it is lost, and what ran of it on {Environment.MachineName} was removed; its files are set aside there";
        if (_record is { Phase: DestinationPhase.Ready })
            await ForgetNeedsGateAsync(reason);
        else if (_record is { Phase: DestinationPhase.Running, Fetches: true })
        {
            LogSourceLost(_log, _record.Container, _record.SourceNode);
            await CleanUpAsync();
            Advance(DestinationInput.SourceLost, record => record with { Detail = reason });
        }
        return Reply();
    }

    private FetchReport? DescribeFetch() => _record switch
    {
        { Fetched: { } fetched } => fetched,
        { AwayPages: 0 } => null,
        _ => new FetchReport(
            _record.AwayPages * (long)Interop.PageSize, (_lazy?.PagesAway ?? _record.AwayPages) * (long)Interop.PageSize,
            _record.Phase == DestinationPhase.Running ? Math.Round((_tools.Time.GetUtcNow() - _record.Updated).TotalSeconds, 3) : 0, _lazy?.Waits ?? 0, Math.Round(_lazy?.LongestWait.TotalMilliseconds ?? 0, 1)),
    };

    /// <summary>Nothing is away any more: from here on the source's copy is not needed. On the disk before anybody hears of it.</summary>
    private async Task NoteFetchedAsync()
    {
        using Gate gate = await EnterAsync(CancellationToken.None);
        if (_record is not { Phase: DestinationPhase.Running, Fetches: true })
            return;
        FetchReport fetched = DescribeFetch()! with { BytesLeft = 0 };
        Journal.DestinationRecord record = _record with { Fetched = fetched };
        _tools.Journal.Write(record);
        _record = record;
        LogFetched(_log, record.Container, record.SourceNode, fetched.Bytes >> 20, fetched.Seconds, fetched.Waits, fetched.LongestWaitMs);
    }

    [LoggerMessage(1214, LogLevel.Warning, "{Container}: memory cannot be fetched from {Source} now, and what needs it waits ({Problem})")]
    private static partial void LogFetchBroke(ILogger log, string container, string source, string problem);

    [LoggerMessage(1215, LogLevel.Information, "{Container}: {Megabytes} MiB that were left at {Source} are here {Seconds:0.0} s after the resume; {Waits} pages were waited for, one for {LongestMs:0} ms")]
    private static partial void LogFetched(ILogger log, string container, string source, long megabytes, double seconds, long waits, double longestMs);

    [LoggerMessage(1216, LogLevel.Critical, "{Container} is lost: {Source} was restarted before all of its memory was here")]
    private static partial void LogSourceLost(ILogger log, string container, string source);

    /// <summary>One at a time, the latest.</summary>
    private sealed class AwayLane
    {
        private readonly SemaphoreSlim _turn = new(1);
        private CancellationTokenSource? _current;

        public async Task RunAsync(Func<CancellationToken, Task> run, CancellationToken cancel)
        {
            // Linked: the connection ends; another takes its place.
            using CancellationTokenSource mine = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            if (Interlocked.Exchange(ref _current, mine) is { } before)
            {
                try
                {
                    await before.CancelAsync();
                }
                catch (ObjectDisposedException)
                {
                    // It ended by itself just now.
                }
            }
            await _turn.WaitAsync(mine.Token);
            try
            {
                await run(mine.Token);
            }
            finally
            {
                _turn.Release();
                Interlocked.CompareExchange(ref _current, null, mine);
            }
        }
    }
}
