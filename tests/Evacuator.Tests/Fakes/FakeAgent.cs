using System.Collections.Concurrent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Evacuator.Tests.Fakes;

/// <summary>
/// An agent without containers: the agent's whole interface on a real unix socket, over the state of a <see cref="FakeRack"/>. A move goes one phase further
/// with each look at it, so nothing depends on the clock.
/// </summary>
internal sealed class FakeAgent : IAsyncDisposable
{
    private static readonly SourcePhase[] Path = [SourcePhase.Accepted, SourcePhase.Copying, SourcePhase.Copying, SourcePhase.Freezing, SourcePhase.Released, SourcePhase.Removing, SourcePhase.Moved];

    private readonly FakeRack _rack;
    private readonly WebApplication _app;
    private readonly ConcurrentDictionary<Guid, FakeMove> _moves = new();
    private readonly ConcurrentDictionary<Guid, InboundRequest> _inbound = new();
    private readonly ConcurrentDictionary<Guid, InboundReport> _inboundReports = new();
    private readonly Lock _lock = new();

    public FakeAgent(FakeRack rack, string node, string socketPath)
    {
        _rack = rack;
        Node = node;
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ListenOnUnixSocket(socketPath, new UnixSocketAccess());
        builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.RespectRequiredConstructorParameters = true);
        _app = builder.Build();
        Map();
        rack.Agents[node] = this;
    }

    public string Node { get; }

    public ConcurrentDictionary<string, ContainerReport> Containers { get; } = new();

    public bool InboundOpen { get; private set; } = true;

    public long MemoryAvailable { get; set; } = 8L << 30;

    public long MemoryTotal { get; set; } = 16L << 30;

    public string BootId { get; set; } = "boot-1";

    /// <summary>Of the list of the fleet that it was given.</summary>
    public long? FleetNumber { get; private set; }

    /// <summary>Fingerprint of the authority that its certificate is from.</summary>
    public string? CertificateBy { get; set; }

    /// <summary>As the last list named them.</summary>
    public IReadOnlyList<string>? Authorities { get; private set; }

    public string? Roster { get; private set; }

    public IReadOnlyList<Requirement> Requirements { get; set; } = [];

    /// <summary>Called with each move before it goes a phase further; true keeps it where it is.</summary>
    public Func<FakeMove, bool> Hold { get; set; } = _ => false;

    /// <summary>Why a move stays when it comes to this phase; null: it goes on.</summary>
    public Func<FakeMove, (Blocker? Blocker, string Detail)?> Fails { get; set; } = _ => null;

    /// <summary>Why this node does not take a container; null: it does.</summary>
    public Func<InboundRequest, Blocker?> Refuses { get; set; } = _ => null;

    /// <summary>Something that is left although no container is.</summary>
    public string? Residue { get; set; }

    /// <summary>Called when the proof is asked for.</summary>
    public Action? OnEmptiness { get; set; }

    /// <summary>Called when the host has been told to go down.</summary>
    public Action? OnPowerOff { get; set; }

    public bool PoweredOff { get; private set; }

    public int OpenReservations => _inbound.Count;

    public int MovesStarted => _moves.Count;

    public int MostMovesAtOnce { get; private set; }

    public Task StartAsync() => _app.StartAsync();

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    /// <summary>Over a reboot, as the journal of a real agent.</summary>
    public bool KeepsMoves { get; set; }

    /// <summary>A container that had arrived ended with what it still needed of its source.</summary>
    public void Lose(FakeMove move)
    {
        Containers.TryRemove(move.Request.Container, out _);
        _inboundReports[move.Request.MoveId] = _inboundReports[move.Request.MoveId] with { Phase = DestinationPhase.Failed };
    }

    /// <summary>The host comes up again: containers are gone, and the agent knows nothing, unless it <see cref="KeepsMoves"/>.</summary>
    public void Reboot()
    {
        BootId = "boot-2";
        Containers.Clear();
        if (!KeepsMoves)
            _moves.Clear();
        _inbound.Clear();
        _inboundReports.Clear();
        InboundOpen = true;
        PoweredOff = false;
    }

    /// <summary>As it was at the start, in the same boot.</summary>
    public void Reset()
    {
        string boot = BootId;
        Reboot();
        BootId = boot;
    }

    private void Map()
    {
        _app.MapGet(AgentRoutes.Host, () => Json(new HostReport
        {
            Node = Node,
            BootId = BootId,
            AgentVersion = "test",
            ProtocolVersion = 1,
            Kernel = "6.12",
            MemoryTotal = MemoryTotal,
            MemoryAvailable = MemoryAvailable,
            MemoryReserved = 0,
            DiskAvailable = 100L << 30,
            Cpus = 8,
            LoadAverage = 0.1,
            InboundOpen = InboundOpen,
            Requirements = Requirements,
            FleetNumber = FleetNumber,
            CertificateBy = CertificateBy,
            Authorities = Authorities,
        }));
        _app.MapPut(AgentRoutes.Fleet, (FleetRequest request) =>
        {
            Roster = request.Roster;
            // As the real one: the number is in the statement, whose signature is not this fake's business.
            using System.Text.Json.JsonDocument envelope = System.Text.Json.JsonDocument.Parse(request.Roster);
            using System.Text.Json.JsonDocument statement = System.Text.Json.JsonDocument.Parse(envelope.RootElement.GetProperty("statement").GetString()!);
            FleetNumber = statement.RootElement.GetProperty("number").GetInt64();
            if (statement.RootElement.GetProperty("authorities").EnumerateArray().Select(pem => pem.GetString()!).ToList() is { Count: > 0 } named)
                Authorities = Common.Fleet.FleetAuthorities.FromPem(string.Concat(named), "the list").Fingerprints;
            return Results.NoContent();
        });
        _app.MapGet(AgentRoutes.Containers, () => Json(Containers.Values.ToList()));
        _app.MapPut(AgentRoutes.Admission, (AdmissionRequest request) =>
        {
            InboundOpen = request.Open;
            return Results.NoContent();
        });
        _app.MapPost(AgentRoutes.Inbound, Announce);
        _app.MapGet(AgentRoutes.Inbound, () => Json(_inboundReports.Values.ToList()));
        _app.MapDelete(AgentRoutes.Inbound + "/{id:guid}", (Guid id) =>
        {
            if (_inboundReports.TryGetValue(id, out InboundReport? report) && report.Phase == DestinationPhase.Running)
                return Results.Json(new ErrorReply("it runs here"), ApiJson.Options, statusCode: 409);
            _inbound.TryRemove(id, out _);
            _inboundReports.TryRemove(id, out _);
            return Results.NoContent();
        });
        _app.MapPost(AgentRoutes.Moves, StartMove);
        _app.MapGet(AgentRoutes.Moves, () => Json(_moves.Values.OrderBy(move => move.Started).Select(Report)));
        _app.MapPost(AgentRoutes.Moves + "/{id:guid}/gone", (Guid id, PeerGoneRequest request) =>
        {
            lock (_lock)
            {
                FakeMove move = _moves[id];
                if (move.Phase != SourcePhase.Released)
                    return Results.Json(new ErrorReply("it does not wait"), ApiJson.Options, statusCode: 409);
                move.Phase = SourcePhase.Stayed;
                move.Detail = $"{move.Request.DestinationNode} was declared gone for good ({request.Word})";
                return Results.StatusCode(202);
            }
        });
        _app.MapGet(AgentRoutes.Moves + "/{id:guid}", (Guid id) => _moves.TryGetValue(id, out FakeMove? move) ? Json(Advance(move)) : Results.Json(new ErrorReply("no such move"), ApiJson.Options, statusCode: 404));
        _app.MapPost(AgentRoutes.Moves + "/{id:guid}/abort", (Guid id) =>
        {
            lock (_lock)
            {
                if (!_moves.TryGetValue(id, out FakeMove? move) || move.Phase >= SourcePhase.Released)
                    return Results.Json(new ErrorReply("too late"), ApiJson.Options, statusCode: 409);
                move.Phase = SourcePhase.Stayed;
                move.Detail = "aborted";
                return Results.StatusCode(202);
            }
        });
        _app.MapGet(AgentRoutes.Emptiness, () =>
        {
            OnEmptiness?.Invoke();
            return Json(Look());
        });
        _app.MapGet(AgentRoutes.Lasting, () => Json(new EmptinessReport(Residue is null, DateTimeOffset.UtcNow, [new EmptinessCheck("veths", Residue is null, 3, Residue is null ? [] : [Residue])])));
        _app.MapPost(AgentRoutes.PowerOff, (PowerOffRequest _) =>
        {
            EmptinessReport look = Look();
            if (!look.Empty)
                return Results.Json(look, ApiJson.Options, statusCode: 409);
            PoweredOff = true;
            if (_rack.Bmcs.Machines.TryGetValue($"https://bmc.{Node}", out FakeBmc? bmc) && !bmc.Hangs)
                bmc.Power = "Off";
            OnPowerOff?.Invoke();
            return Results.StatusCode(202);
        });
    }

    private IResult Announce(InboundRequest request)
    {
        if (!InboundOpen)
            return Json(new InboundReply(false, [new Blocker(BlockerCode.AdmissionClosed, "closed")]));
        if (Containers.ContainsKey(request.Container.Name))
            return Json(new InboundReply(false, [new Blocker(BlockerCode.NameTaken, $"{request.Container.Name} exists on {Node}")]));
        if (_inbound.Values.Any(other => other.Container.Name == request.Container.Name))
            return Json(new InboundReply(false, [new Blocker(BlockerCode.Reserved, $"{request.Container.Name} is reserved on {Node}")]));
        if (Refuses(request) is { } blocker)
            return Json(new InboundReply(false, [blocker]));
        _inbound[request.MoveId] = request;
        _inboundReports[request.MoveId] = new InboundReport(request.MoveId, request.Container.Name, request.SourceNode, DestinationPhase.Announced, "", request.Container.MemoryBytes, DateTimeOffset.UtcNow);
        return Json(new InboundReply(true, []));
    }

    private IResult StartMove(MoveRequest request)
    {
        lock (_lock)
        {
            if (_moves.TryGetValue(request.MoveId, out FakeMove? known))
                return Json(Report(known));
            if (!Containers.ContainsKey(request.Container))
                return Results.Json(new ErrorReply($"there is no container {request.Container}"), ApiJson.Options, statusCode: 409);
            FakeMove move = new(request, DateTimeOffset.UtcNow);
            _moves[request.MoveId] = move;
            MostMovesAtOnce = Math.Max(MostMovesAtOnce, _moves.Values.Count(other => other.Phase is not (SourcePhase.Moved or SourcePhase.Stayed)));
            return Results.Json(Report(move), ApiJson.Options, statusCode: 202);
        }
    }

    private MoveReport Advance(FakeMove move)
    {
        lock (_lock)
        {
            if (move.Phase is SourcePhase.Moved or SourcePhase.Stayed || Hold(move))
                return Report(move);
            if (Fails(move) is { } failure)
            {
                (move.Blocker, move.Detail) = failure;
                move.Phase = SourcePhase.Stayed;
                return Report(move);
            }

            move.Phase = Path[++move.Steps];
            if (move is { Request.Mode: MoveMode.Rehearsal, Phase: SourcePhase.Freezing })
            {
                // Frozen, dumped, and undone.
                (move.Phase, move.FrozenBefore) = (SourcePhase.Stayed, true);
                return Report(move);
            }

            FakeAgent destination = _rack.Agents[move.Request.DestinationNode];
            switch (move.Phase)
            {
                case SourcePhase.Copying when move.Request.Mode != MoveMode.Rehearsal:
                    if (!destination._inbound.TryGetValue(move.Request.MoveId, out InboundRequest? inbound) || inbound.Token != move.Request.Token || inbound.SourceNode != Node)
                    {
                        move.Phase = SourcePhase.Stayed;
                        move.Detail = "the destination does not know the token";
                    }

                    break;
                case SourcePhase.Removing:
                    Containers.TryRemove(move.Request.Container, out ContainerReport? container);
                    destination._inbound.TryRemove(move.Request.MoveId, out _);
                    destination.Containers[move.Request.Container] = container!;
                    destination._inboundReports.AddOrUpdate(move.Request.MoveId, _ => throw new InvalidOperationException(), (_, report) => report with { Phase = DestinationPhase.Running });
                    break;
            }

            return Report(move);
        }
    }

    private EmptinessReport Look()
    {
        List<string> left = [.. Containers.Keys.Order(StringComparer.Ordinal).Select(name => $"container {name}")];
        return new EmptinessReport(left.Count == 0 && Residue is null, DateTimeOffset.UtcNow,
        [
            new EmptinessCheck("runtimes", left.Count == 0, 1, left),
            new EmptinessCheck("veths", Residue is null, 3, Residue is null ? [] : [Residue]),
        ]);
    }

    private static MoveReport Report(FakeMove move) => new()
    {
        MoveId = move.Request.MoveId,
        EvacuationId = move.Request.EvacuationId,
        Container = move.Request.Container,
        Destination = move.Request.DestinationNode,
        Phase = move.Phase,
        Detail = move.Detail,
        Blocker = move.Blocker,
        Started = move.Started,
        Updated = move.Started,
        BytesSent = move.Steps * 1000,
        Rounds = move.Steps >= 2 ? 2 : move.Steps,
        FreezeMs = move.Steps >= 5 || move.FrozenBefore ? 212.5 : null,
        FreezeParts = new Dictionary<string, double> { ["dump"] = 100, ["restore"] = 80 },
        Rung = move.Rung,
    };

    private static IResult Json<T>(T value) => Results.Json(value, ApiJson.Options);
}

/// <summary>A move at its source.</summary>
internal sealed class FakeMove(MoveRequest request, DateTimeOffset started)
{
    public MoveRequest Request { get; } = request;

    public DateTimeOffset Started { get; } = started;

    public SourcePhase Phase { get; set; } = SourcePhase.Accepted;

    public int Steps { get; set; }

    public string Detail { get; set; } = "";

    public Blocker? Blocker { get; set; }

    public MoveRung Rung { get; set; }

    /// <summary>It had been frozen before it stayed.</summary>
    public bool FrozenBefore { get; set; }
}
