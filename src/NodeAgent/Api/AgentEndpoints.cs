using System.Diagnostics;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Host;
using Evacuator.NodeAgent.Migration;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Api;

/// <summary>The interface for the own brain, on the unix socket only: see <see cref="AgentRoutes"/>.</summary>
internal static partial class AgentEndpoints
{
    /// <summary>What requests on the unix socket carry as their host, so that no request from the network can reach these routes.</summary>
    public const string LocalHost = "localhost";

    public static void MapAgentEndpoints(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder local = routes.MapGroup("");
        local.AddEndpointFilter(OnlyUnixSocketAsync);
        local.MapGet(AgentRoutes.Host, async (MoveRegistry moves, FleetTls tls, CancellationToken cancel) =>
            Json(await moves.HostAsync(cancel) with
            {
                FleetNumber = tls.Roster?.Roster.Number,
                CertificateUntil = tls.ExpiresAt,
                CertificateBy = tls.IssuedBy,
                Authorities = tls.Authorities.Fingerprints,
                OldConnections = tls.OldConnections,
            }));
        local.MapPut(AgentRoutes.Fleet, TakeRoster);
        local.MapGet(AgentRoutes.Containers, ContainersAsync);
        local.MapPut(AgentRoutes.Admission, (AdmissionRequest request, MoveRegistry moves) =>
        {
            moves.Admission = request;
            return Results.NoContent();
        });
        local.MapPost(AgentRoutes.Inbound, async (InboundRequest request, MoveRegistry moves, CancellationToken cancel) => Json(await moves.AnnounceAsync(request, cancel)));
        local.MapGet(AgentRoutes.Inbound, (MoveRegistry moves) => Json(moves.Destinations.Select(move => move.Record)
            .Select(record => new InboundReport(record.MoveId, record.Container, record.SourceNode, record.Phase, record.Detail, record.MemoryBytes, record.Updated))));
        local.MapDelete(AgentRoutes.Inbound + "/{id:guid}", ForgetAsync);
        local.MapPost(AgentRoutes.Moves, Start);
        local.MapGet(AgentRoutes.Moves, (MoveRegistry moves) => Json(moves.Sources.Select(move => move.Record.ToReport())));
        local.MapGet(AgentRoutes.Moves + "/{id:guid}", (Guid id, MoveRegistry moves) =>
            moves.Source(id) is { } move ? Json(move.Record.ToReport()) : Refuse(StatusCodes.Status404NotFound, $"no move {id} from this node"));
        local.MapPost(AgentRoutes.Moves + "/{id:guid}/abort", Abort);
        local.MapPost(AgentRoutes.Moves + "/{id:guid}/gone", GoneAsync);
        local.MapGet(AgentRoutes.Emptiness, (EmptinessProof proof, MoveRegistry moves) => Json(proof.Prove(moves.MovesCheck())));
        local.MapGet(AgentRoutes.Lasting, LastingAsync);
        local.MapPost(AgentRoutes.PowerOff, PowerOff);
    }

    private static IResult TakeRoster(FleetRequest request, AgentFleet fleet)
    {
        try
        {
            fleet.Accept(request.Roster);
            return Results.NoContent();
        }
        catch (FleetSetupException e)
        {
            return Refuse(StatusCodes.Status409Conflict, e.Message);
        }
    }

    private static async Task<IResult> ContainersAsync(RuncRuntime runtime, MoveRegistry moves, CancellationToken cancel) =>
        Json(moves.WithWhatIsOwed(await runtime.ReportAllAsync(cancel)));

    private static async Task<IResult> LastingAsync(EmptinessProof proof, RuncRuntime runtime, MoveRegistry moves, CancellationToken cancel)
    {
        List<ContainerDescription> leaving = [.. await runtime.DescribeAllAsync(cancel), .. moves.UnderWay()];
        return Json(await Task.Run(() => proof.ProveWithout(Leaving.Of(leaving)), cancel));
    }

    private static IResult Start(MoveRequest request, MoveRegistry moves)
    {
        try
        {
            (SourceMove move, bool isNew) = moves.Start(request);
            return Results.Json(move.Record.ToReport(), ApiJson.Options, statusCode: isNew ? StatusCodes.Status202Accepted : StatusCodes.Status200OK);
        }
        catch (MoveRefusedException e)
        {
            return Results.Json(new ErrorReply(e.Message, e.Blockers), ApiJson.Options, statusCode: StatusCodes.Status409Conflict);
        }
    }

    private static IResult Abort(Guid id, MoveRegistry moves)
    {
        if (moves.Source(id) is not { } move)
            return Refuse(StatusCodes.Status404NotFound, $"no move {id} from this node");
        return move.RequestAbort("cancelled")
            ? Results.StatusCode(StatusCodes.Status202Accepted)
            : Refuse(StatusCodes.Status409Conflict, $"{move.Record.Request.Container} is {move.Record.Phase}: only {move.Record.Request.DestinationNode} can say now");
    }

    private static async Task<IResult> GoneAsync(Guid id, PeerGoneRequest request, MoveRegistry moves, CancellationToken cancel)
    {
        if (moves.Source(id) is not { } move)
            return Refuse(StatusCodes.Status404NotFound, $"no move {id} from this node");
        return await move.DeclareGoneAsync(request.Word, cancel) is { } why
            ? Refuse(StatusCodes.Status409Conflict, why)
            : Results.StatusCode(StatusCodes.Status202Accepted);
    }

    private static async Task<IResult> ForgetAsync(Guid id, MoveRegistry moves, CancellationToken cancel)
    {
        if (moves.Destination(id) is not { } move)
            return Results.NoContent();
        return await move.ForgetAsync("the reservation was given back", cancel)
            ? Results.NoContent()
            : Refuse(StatusCodes.Status409Conflict, $"{move.Record.Container} has been released to this node and is {move.Record.Phase}");
    }

    /// <summary>The interlock: whoever asks, nothing is switched off over a container that the kernel still shows.</summary>
    private static IResult PowerOff(PowerOffRequest request, EmptinessProof proof, MoveRegistry moves, ILoggerFactory logs)
    {
        ILogger log = logs.CreateLogger(typeof(AgentEndpoints));
        EmptinessReport report = proof.Prove(moves.MovesCheck());
        if (!report.Empty)
        {
            LogNotEmpty(log, request.EvacuationId, string.Join("; ", report.Checks.SelectMany(check => check.Left)));
            return Results.Json(report, ApiJson.Options, statusCode: StatusCodes.Status409Conflict);
        }
        LogPowerOff(log, request.EvacuationId, request.Reason);
        using Process process = Process.Start("systemctl", ["poweroff", $"--message=Evacuator: {request.Reason} (evacuation {request.EvacuationId})", "--no-block"]);
        return Results.StatusCode(StatusCodes.Status202Accepted);
    }

    private static ValueTask<object?> OnlyUnixSocketAsync(EndpointFilterInvocationContext invocation, EndpointFilterDelegate next) =>
        invocation.HttpContext.Connection.LocalPort == 0 && invocation.HttpContext.Connection.ClientCertificate is null
            ? next(invocation)
            : ValueTask.FromResult<object?>(Results.NotFound());

    private static IResult Json<T>(T value) => Results.Json(value, ApiJson.Options);

    private static IResult Refuse(int status, string error) => Results.Json(new ErrorReply(error), ApiJson.Options, statusCode: status);

    [LoggerMessage(1401, LogLevel.Warning, "power-off for evacuation {EvacuationId} refused, something is left: {Left}")]
    private static partial void LogNotEmpty(ILogger log, Guid evacuationId, string left);

    [LoggerMessage(1402, LogLevel.Warning, "nothing is left on this host: powering off for evacuation {EvacuationId} ({Reason})")]
    private static partial void LogPowerOff(ILogger log, Guid evacuationId, string reason);
}
