using System.Threading.Channels;
using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Placement;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Homecoming;

/// <summary>
/// Sends single containers to one node each, by the same steps as in an evacuation (<see cref="ContainerRun"/>). A peer may ask for containers that belong to it and for
/// no others; this node may ask for any of its own guests, to make room. Journaled before anything is done: a restart goes on.
/// </summary>
internal sealed partial class DepartureService : BackgroundService
{
    private readonly JournalStore _journal;
    private readonly RunServices _services;
    private readonly EvacuationService _evacuations;
    private readonly ILogger<DepartureService> _log;

    // Bounded by the board, which holds a container once. One reader: the loop below.
    private readonly Channel<OpenDeparture> _new = Channel.CreateUnbounded<OpenDeparture>(new UnboundedChannelOptions { SingleReader = true });

    public DepartureService(JournalStore journal, RunServices services, EvacuationService evacuations, ILogger<DepartureService> log)
    {
        (_journal, _services, _evacuations, _log) = (journal, services, evacuations, log);
        // On the board before any loop runs: an evacuation that goes on as well has to see them.
        foreach (Departure departure in journal.Departures().Where(departure => !departure.Ended))
            Enter(departure);
    }

    /// <param name="requestedBy">the node that asks</param>
    /// <exception cref="AgentException">the own agent does not answer</exception>
    public async Task<DepartureAnswer> StartAsync(string requestedBy, DepartureRequest request, string destination, CancellationToken token)
    {
        if (_journal.Departure(request.Id) is { } known)
            return known.RequestedBy == requestedBy ? DepartureAnswer.Accept(Report(known)) : DepartureAnswer.Refuse("this id belongs to another node's request");
        if (Busy() is { } busy)
            return DepartureAnswer.Refuse(busy);

        IReadOnlyList<ContainerReport> containers = await _services.Agent.GetContainersAsync(token).ConfigureAwait(false);
        if (containers.FirstOrDefault(container => container.Name == request.Container) is not { } container)
            return DepartureAnswer.Refuse($"there is no container {request.Container} on {_services.Options.Node.Name}");
        string? home = await _services.Guests.HomeOfAsync(request.Container, token).ConfigureAwait(false);
        if (requestedBy != _services.Options.Node.Name && home != requestedBy)
            return DepartureAnswer.Refuse($"{request.Container} on {_services.Options.Node.Name} belongs to {home ?? _services.Options.Node.Name}, not to {requestedBy}");
        if (container.Blockers.Count > 0)
            return DepartureAnswer.Refuse(string.Join("; ", container.Blockers.Select(blocker => blocker.Text)), container.Blockers);

        DateTimeOffset now = _services.Time.GetUtcNow();
        Departure departure = new()
        {
            Id = request.Id,
            RequestedBy = requestedBy,
            BootId = _services.BootId.Value,
            Requested = now,
            Move = new MoveState
            {
                EvacuationId = request.HomecomingId,
                Container = container,
                Order = 0,
                Phase = MovePhase.Planned,
                Destination = destination,
                Bound = true,
                Mode = Planner.ModeOf(container, ContainerPolicy.Of(container)).Mode,
            },
        };
        OpenDeparture open = new(new DepartureLedger(_journal, _services.Time, departure));
        if (!_services.Departures.TryAdd(open))
            return _journal.Departure(request.Id) is { } same ? DepartureAnswer.Accept(Report(same)) : DepartureAnswer.Refuse($"{request.Container} is leaving already");
        // Asked again now that it is on the board: an evacuation that began meanwhile either has seen it there, or is seen here.
        if (Busy() is { } begun)
        {
            _services.Departures.Remove(departure.Id);
            return DepartureAnswer.Refuse(begun);
        }

        try
        {
            _journal.Write(departure);
        }
        catch
        {
            _services.Departures.Remove(departure.Id);
            throw;
        }

        _new.Writer.TryWrite(open);
        LogRequested(_log, request.Container, destination, requestedBy);
        return DepartureAnswer.Accept(Report(departure));
    }

    /// <summary>Null if this node knows no such request of that node.</summary>
    public DepartureReport? Find(string requestedBy, Guid id)
    {
        Departure? departure = _services.Departures.Find(id)?.Ledger.Departure ?? _journal.Departure(id);
        return departure?.RequestedBy == requestedBy ? Report(departure) : null;
    }

    /// <summary>Asks it to stop where it can; what is past its release runs to its end.</summary>
    public DepartureReport? Cancel(string requestedBy, Guid id)
    {
        if (_services.Departures.Find(id) is { } open && open.Ledger.Departure.RequestedBy == requestedBy)
            open.Cancel();
        return Find(requestedBy, id);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using SemaphoreSlim places = new(Math.Max(1, _services.Options.Move.Parallel));
        List<Task> running = [];
        try
        {
            await foreach (OpenDeparture departure in _new.Reader.ReadAllAsync(stoppingToken).ConfigureAwait(false))
            {
                running.RemoveAll(task => task.IsCompletedSuccessfully);
                if (running.Find(task => task.IsFaulted) is { } dead)
                    await dead.ConfigureAwait(false);
                running.Add(RunAsync(departure, places, stoppingToken));
            }
        }
        finally
        {
            await Task.WhenAll(running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task RunAsync(OpenDeparture departure, SemaphoreSlim places, CancellationToken stop)
    {
        string container = departure.Ledger.Departure.Move.Name;
        departure.Ledger.WaitMove(container, new Waiting($"its turn: {_services.Options.Move.Parallel} move at once ([move] parallel)", _services.Time.GetUtcNow(), null, "it moves"));
        await places.WaitAsync(stop).ConfigureAwait(false);
        try
        {
            await new ContainerRun(_services, departure.Ledger, departure.CancelRequested).RunAsync(container, stop).ConfigureAwait(false);
        }
        catch (Exception e) when (e is InvalidOperationException or NullReferenceException or ArgumentException)
        {
            // A defect of ours must not look like a wait without end, nor take the service down with it at each restart.
            LogDefect(_log, container, e);
            if (departure.Ledger.Departure.Move.Phase is MovePhase.Reserving or MovePhase.Moving)
                departure.Ledger.Apply(container, new MoveInput.Settled(MovePhase.Unknown, $"an internal error: {e.Message}; see the journal of evacuator.service"));
        }
        finally
        {
            places.Release();
        }

        if (!departure.Ledger.Departure.Ended)
            return;
        _services.Departures.Remove(departure.Ledger.Departure.Id);
    }

    private string? Busy() => _evacuations.Active is { } active
        ? $"{_services.Options.Node.Name} is being emptied itself since {active.State.Started:u}: {active.State.Trigger.Reason}"
        : null;

    private void Enter(Departure departure)
    {
        OpenDeparture open = new(new DepartureLedger(_journal, _services.Time, departure));
        if (departure.Cancelling)
            open.Cancel();
        if (_services.Departures.TryAdd(open))
            _new.Writer.TryWrite(open);
    }

    private DepartureReport Report(Departure departure) => new(
        departure.Id, departure.Move.Phase.IsEnd(), ReportBuilder.Describe(departure.Move, _services.Options.Node.Name, _services.Departures.Find(departure.Id)?.Ledger.Waiting));

    [LoggerMessage(EventId = 320, Level = LogLevel.Information, Message = "{Container} leaves for {Destination}, as {Node} asked")]
    private static partial void LogRequested(ILogger logger, string container, string destination, string node);

    [LoggerMessage(EventId = 321, Level = LogLevel.Critical, Message = "The departure of {Container} broke by an internal error")]
    private static partial void LogDefect(ILogger logger, string container, Exception exception);
}

/// <summary>Asks for one container.</summary>
/// <param name="Id">of this request; the same one again is the same departure</param>
/// <param name="HomecomingId">what it belongs to, for logs and reports</param>
internal sealed record DepartureRequest(Guid Id, Guid HomecomingId, string Container);

/// <param name="Ended">nothing more will happen</param>
internal sealed record DepartureReport(Guid Id, bool Ended, ContainerMove Move);

/// <param name="Report">null when refused</param>
/// <param name="Reason">why; empty when accepted</param>
internal sealed record DepartureAnswer(DepartureReport? Report, string Reason, IReadOnlyList<Blocker> Blockers)
{
    public static DepartureAnswer Accept(DepartureReport report) => new(report, "", []);

    public static DepartureAnswer Refuse(string reason, IReadOnlyList<Blocker>? blockers = null) => new(null, reason, blockers ?? []);
}
