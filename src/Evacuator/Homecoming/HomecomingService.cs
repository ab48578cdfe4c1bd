using System.Threading.Channels;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Homecoming;

/// <summary>The homecomings of this node, at most one at a time. After a restart the one that had not ended goes on.</summary>
internal sealed partial class HomecomingService : BackgroundService
{
    private readonly JournalStore _journal;
    private readonly RunServices _services;
    private readonly EvacuationService _evacuations;
    private readonly HomecomingPlans _plans;
    private readonly DepartureService _departures;
    private readonly ILogger<HomecomingService> _log;
    private readonly Channel<Current> _start = Channel.CreateBounded<Current>(new BoundedChannelOptions(1) { SingleReader = true });
    private readonly Lock _starting = new();
    private volatile Current? _current;

    public HomecomingService(
        JournalStore journal, RunServices services, EvacuationService evacuations, HomecomingPlans plans, DepartureService departures, ILogger<HomecomingService> log)
    {
        (_journal, _services, _evacuations, _plans, _departures, _log) = (journal, services, evacuations, plans, departures, log);
        if (journal.Homecomings().FirstOrDefault(homecoming => !homecoming.Phase.IsEnd()) is { } open)
        {
            _current = new Current(new HomecomingLedger(journal, services.Time, open));
            _start.Writer.TryWrite(_current);
        }
    }

    /// <summary>Raised after the end of each, with how it ended.</summary>
    public event Action<HomecomingState>? Ended;

    /// <summary>The one that has not ended; null if there is none.</summary>
    public HomecomingState? Active => _current is { } current && !current.Ledger.State.Phase.IsEnd() ? current.Ledger.State : null;

    /// <summary>Starts one. The same id again is the same one.</summary>
    public HomecomingStart Start(Guid id, string requestedBy, IReadOnlyList<string> only, IReadOnlyList<string> skip)
    {
        lock (_starting)
        {
            if (Find(id) is { } same)
                return new HomecomingStart(same, Existing: true, "");
            if (Active is { } active)
                return HomecomingStart.Refuse($"containers are being brought home already, since {active.Started:u} by {active.RequestedBy}");
            if (_evacuations.Active is { } evacuation)
                return HomecomingStart.Refuse($"this node is being emptied since {evacuation.State.Started:u}: {evacuation.State.Trigger.Reason}");
            if (_services.Admission.Closed is { } closed)
                return HomecomingStart.Refuse($"this node takes no containers since {closed.Since:u} ({closed.Reason}): \"evacuator reopen\" first");
            HomecomingState state = new()
            {
                Id = id,
                Node = _services.Options.Node.Name,
                RequestedBy = requestedBy,
                Only = only,
                Skip = skip,
                Phase = HomecomingPhase.Planning,
                Started = _services.Time.GetUtcNow(),
            };
            _journal.Write(state);
            Current current = new(new HomecomingLedger(_journal, _services.Time, state));
            _current = current;
            if (!_start.Writer.TryWrite(current))
                throw new InvalidOperationException("a homecoming is waiting to be started although none is active");
            LogStarted(_log, id, requestedBy);
            return new HomecomingStart(state, Existing: false, "");
        }
    }

    /// <summary>Null when it is being cancelled; else why not.</summary>
    public string? Cancel(string by)
    {
        if (_current is not { } current || Active is null)
            return "no containers are being brought home";
        if (!current.Cancel(by))
            return "it has ended already";
        LogCancelled(_log, current.Ledger.State.Id, by);
        return null;
    }

    public HomecomingState? Find(Guid id) => _current is { } current && current.Ledger.State.Id == id ? current.Ledger.State : _journal.Homecoming(id);

    /// <summary>Newest first.</summary>
    public IReadOnlyList<HomecomingState> Newest(int limit) => [.. _journal.Homecomings(limit).Select(state => Find(state.Id) ?? state)];

    public HomecomingState? Last() => _current?.Ledger.State ?? _journal.Homecomings(1).FirstOrDefault();

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            Current current = await _start.Reader.ReadAsync(stoppingToken).ConfigureAwait(false);
            Task watch = StandDownAsync(current, stoppingToken);
            try
            {
                await new HomecomingRun(_services, current.Ledger, _plans, _departures, current.CancelRequested).RunAsync(stoppingToken).ConfigureAwait(false);
            }
            catch (Exception e) when (e is InvalidOperationException or NullReferenceException or ArgumentException)
            {
                // A defect of ours must not look like a wait without end, nor take the service down with it at each restart.
                LogDefect(_log, current.Ledger.State.Id, e);
                current.Ledger.TryApply(new HomecomingInput.Broke($"an internal error: {e.Message}; see the journal of evacuator.service"));
            }

            await watch.ConfigureAwait(false);
            HomecomingState end = current.Ledger.State;
            LogEnd(_log, end.Id, end.Phase, end.Problem);
            Ended?.Invoke(end);
        }
    }

    /// <summary>What an evacuation does to a homecoming, for whoever started it.</summary>
    public static string CalledOff(HomecomingState homecoming) =>
        $"containers were being brought home here (homecoming {homecoming.Id:D}, asked by {homecoming.RequestedBy} at {homecoming.Started:u}): that is called off, what is on its way here goes back if it still can, and what has come leaves again";

    /// <summary>A node that is to be emptied brings nothing home.</summary>
    private async Task StandDownAsync(Current current, CancellationToken stop)
    {
        while (!current.Ledger.State.Phase.IsEnd())
        {
            if (_evacuations.Active is { } evacuation && current.Ledger.State.Phase != HomecomingPhase.Cancelling)
            {
                // Noted first: whoever reads that it was called off finds the reason.
                _evacuations.Note(evacuation.State.Id, CalledOff(current.Ledger.State));
                current.Cancel($"evacuation {evacuation.State.Id:D}");
            }

            await Task.Delay(_services.Timings.MovePoll, _services.Time, stop).ConfigureAwait(false);
        }
    }

    private sealed class Current
    {
        private readonly CancellationTokenSource _cancel = new();

        public Current(HomecomingLedger ledger)
        {
            Ledger = ledger;
            if (ledger.State.Phase == HomecomingPhase.Cancelling)
                _cancel.Cancel();
        }

        public HomecomingLedger Ledger { get; }

        public CancellationToken CancelRequested => _cancel.Token;

        public bool Cancel(string by)
        {
            if (!Ledger.TryApply(new HomecomingInput.CancelRequested(by)))
                return false;
            _cancel.Cancel();
            return true;
        }
    }

    [LoggerMessage(EventId = 330, Level = LogLevel.Information, Message = "Homecoming {Id} requested by {By}")]
    private static partial void LogStarted(ILogger logger, Guid id, string by);

    [LoggerMessage(EventId = 331, Level = LogLevel.Warning, Message = "Homecoming {Id} is being cancelled by {By}")]
    private static partial void LogCancelled(ILogger logger, Guid id, string by);

    [LoggerMessage(EventId = 332, Level = LogLevel.Information, Message = "Homecoming {Id} ended as {Phase}: {Problem}")]
    private static partial void LogEnd(ILogger logger, Guid id, HomecomingPhase phase, string problem);

    [LoggerMessage(EventId = 333, Level = LogLevel.Critical, Message = "Homecoming {Id} broke by an internal error")]
    private static partial void LogDefect(ILogger logger, Guid id, Exception exception);
}

/// <param name="State">null when refused</param>
/// <param name="Reason">why; empty when accepted</param>
internal sealed record HomecomingStart(HomecomingState? State, bool Existing, string Reason)
{
    public static HomecomingStart Refuse(string why) => new(null, false, why);
}
