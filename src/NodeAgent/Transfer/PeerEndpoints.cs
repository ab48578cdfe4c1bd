using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Migration;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>The destination's side of <see cref="PeerProtocol"/>. Who calls is certain from the handshake; what they may touch is the one move
/// whose token they hold.</summary>
internal static class PeerEndpoints
{
    public static void MapPeerEndpoints(this IEndpointRouteBuilder routes, int port)
    {
        RouteGroupBuilder moves = routes.MapGroup("/v1/moves/{id:guid}").RequireHost($"*:{port}");
        moves.AddEndpointFilter(CheckVersionAsync);
        moves.MapPut("/offer", OfferAsync);
        moves.MapGet("/trees/{tree:int}", TreeAsync);
        moves.MapGet("/pages", PagesAsync);
        moves.MapPost("/arm", ArmAsync);
        moves.MapPut("/images", ImagesAsync);
        moves.MapPost("/hold", HoldAsync);
        moves.MapPost("/complete", CompleteAsync);
        moves.MapGet("/away/{lane}", AwayAsync);
        moves.MapPost("/release", ReleaseAsync);
        moves.MapPost("/lost", LostAsync);
        moves.MapPost("/known", KnownAsync);
        moves.MapGet("", AskAsync);
        moves.MapDelete("", ForgetAsync);
    }

    private static async Task<IResult> OfferAsync(Guid id, HttpContext context, MoveRegistry registry)
    {
        if (Authorize(id, context, registry, out DestinationMove? move) is { } refusal)
            return refusal;
        return await AnswerAsync(async () => await move!.OfferAsync(await ReadAsync<Offer>(context), context.RequestAborted));
    }

    private static async Task<IResult> TreeAsync(Guid id, int tree, HttpContext context, MoveRegistry registry)
    {
        if (Authorize(id, context, registry, out DestinationMove? move) is { } refusal)
            return refusal;
        return await UpgradeAsync(context, move!, PeerProtocol.TreeUpgrade, stream => move!.ServeTreeAsync(tree, stream, context.RequestAborted));
    }

    private static async Task<IResult> PagesAsync(Guid id, HttpContext context, MoveRegistry registry)
    {
        if (Authorize(id, context, registry, out DestinationMove? move) is { } refusal)
            return refusal;
        return await UpgradeAsync(context, move!, PageFrame.Upgrade, stream => move!.ReceivePagesAsync(stream, context.RequestAborted));
    }

    private static async Task<IResult> AwayAsync(Guid id, string lane, HttpContext context, MoveRegistry registry)
    {
        if (Authorize(id, context, registry, out DestinationMove? move) is { } refusal)
            return refusal;
        if (lane is not (PeerProtocol.WantedLane or PeerProtocol.RestLane))
            return Refuse(StatusCodes.Status404NotFound, $"no lane \"{lane}\"");
        return move!.WhyNoFetch() is { } why
            ? Refuse(why.Status, why.Text)
            : await UpgradeAsync(context, AwayRequest.Upgrade, stream => move.FetchAsync(lane == PeerProtocol.WantedLane, stream, context.RequestAborted));
    }

    private static Task<IResult> UpgradeAsync(HttpContext context, DestinationMove move, string protocol, Func<Stream, Task> serve) =>
        move.Record.Phase == DestinationPhase.Receiving
            ? UpgradeAsync(context, protocol, serve)
            : Task.FromResult(Refuse(StatusCodes.Status409Conflict, $"the move is {move.Record.Phase}, not Receiving"));

    private static async Task<IResult> UpgradeAsync(HttpContext context, string protocol, Func<Stream, Task> serve)
    {
        if (context.Features.Get<IHttpUpgradeFeature>() is not { IsUpgradableRequest: true } upgrade || context.Request.Headers.Upgrade != protocol)
            return Refuse(StatusCodes.Status400BadRequest, $"this needs the header Upgrade: {protocol}");
        context.Response.Headers.Upgrade = protocol;
        await using Stream stream = await upgrade.UpgradeAsync();
        await serve(stream);
        return Results.Empty;
    }

    private static async Task<IResult> ArmAsync(Guid id, HttpContext context, MoveRegistry registry)
    {
        if (Authorize(id, context, registry, out DestinationMove? move) is { } refusal)
            return refusal;
        return await AnswerAsync(async () =>
        {
            await move!.ArmAsync(context.RequestAborted);
            return Results.NoContent();
        });
    }

    private static async Task<IResult> ImagesAsync(Guid id, HttpContext context, MoveRegistry registry)
    {
        if (Authorize(id, context, registry, out DestinationMove? move) is { } refusal)
            return refusal;
        // The size is bounded by the reservation, and the wire may be slow without being hostile.
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
            limit.MaxRequestBodySize = null;
        return await AnswerAsync(async () =>
        {
            await move!.ReceiveImagesAsync(context.Request.Body, context.RequestAborted);
            return Results.NoContent();
        });
    }

    private static async Task<IResult> HoldAsync(Guid id, HttpContext context, MoveRegistry registry)
    {
        if (Authorize(id, context, registry, out DestinationMove? move) is { } refusal)
            return refusal;
        return await AnswerAsync(async () =>
        {
            await move!.HoldAsync(context.RequestAborted);
            return Results.NoContent();
        });
    }

    private static async Task<IResult> CompleteAsync(Guid id, HttpContext context, MoveRegistry registry)
    {
        if (Authorize(id, context, registry, out DestinationMove? move) is { } refusal)
            return refusal;
        return await AnswerAsync(async () => await move!.CompleteAsync(await ReadAsync<CompleteRequest>(context), context.RequestAborted));
    }

    private static async Task<IResult> ReleaseAsync(Guid id, HttpContext context, MoveRegistry registry)
    {
        (IResult? refusal, DestinationMove? move) = await AuthorizeOrBuryAsync(id, context, registry);
        return refusal ?? Json(await move!.ReleaseAsync());
    }

    private static async Task<IResult> AskAsync(Guid id, HttpContext context, MoveRegistry registry)
    {
        (IResult? refusal, DestinationMove? move) = await AuthorizeOrBuryAsync(id, context, registry);
        return refusal ?? Json(move!.Reply());
    }

    private static async Task<IResult> KnownAsync(Guid id, HttpContext context, MoveRegistry registry)
    {
        if (Authorize(id, context, registry, out DestinationMove? move) is { } refusal)
            return refusal;
        return Json(await move!.KnownAsync(context.RequestAborted));
    }

    private static async Task<IResult> LostAsync(Guid id, HttpContext context, MoveRegistry registry)
    {
        (IResult? refusal, DestinationMove? move) = await AuthorizeOrBuryAsync(id, context, registry);
        return refusal ?? Json(await move!.SourceLostAsync());
    }

    private static async Task<IResult> ForgetAsync(Guid id, HttpContext context, MoveRegistry registry)
    {
        (IResult? refusal, DestinationMove? move) = await AuthorizeOrBuryAsync(id, context, registry);
        if (refusal is not null)
            return refusal;
        return await move!.ForgetAsync($"{move.Record.SourceNode} keeps the container", context.RequestAborted)
            ? Json(move.Reply() with { Frames = move.TakeReturned() })
            : Refuse(StatusCodes.Status409Conflict, $"{move.Record.Container} has been released and is {move.Record.Phase} here");
    }

    private static IResult? Authorize(Guid id, HttpContext context, MoveRegistry registry, out DestinationMove? move)
    {
        move = registry.Destination(id);
        if (move is null)
            return Refuse(StatusCodes.Status404NotFound, "no such move: the destination's own brain has to announce it first");
        PeerIdentity caller = FleetTls.IdentityOf(context);
        if (caller.Node != move.Record.SourceNode)
            return Refuse(StatusCodes.Status403Forbidden, $"this move belongs to {move.Record.SourceNode}, you are {caller}");
        if (!move.TokenFits(Token(context)))
            return Refuse(StatusCodes.Status401Unauthorized, "wrong token");
        move.News();
        return null;
    }

    /// <summary>Like <see cref="Authorize"/>, but an unknown move gets the one answer that stays true: Failed, for ever.</summary>
    private static async Task<(IResult? Refusal, DestinationMove? Move)> AuthorizeOrBuryAsync(Guid id, HttpContext context, MoveRegistry registry)
    {
        if (registry.Destination(id) is null)
        {
            string container = context.Request.Headers[PeerProtocol.ContainerHeader].ToString();
            if (!await registry.BuryUnknownAsync(id, container, FleetTls.IdentityOf(context).Node, Token(context), context.RequestAborted))
                return (Refuse(StatusCodes.Status409Conflict,
                    $"{Environment.MachineName} knows nothing of this move, but a container named \"{container}\" is here: whether it is the one that was moved, a person has to say"), null);
        }
        IResult? refusal = Authorize(id, context, registry, out DestinationMove? move);
        return (refusal, move);
    }

    private static string Token(HttpContext context) => context.Request.Headers[PeerProtocol.TokenHeader].ToString();

    private static ValueTask<object?> CheckVersionAsync(EndpointFilterInvocationContext invocation, EndpointFilterDelegate next)
    {
        HttpContext context = invocation.HttpContext;
        string? stated = context.Request.Headers[ProtocolVersions.Header];
        ProtocolVersions own = context.RequestServices.GetRequiredService<ProtocolVersions>();
        if (own.Read(stated) is not null)
            return next(invocation);
        context.Response.Headers[ProtocolVersions.RangeHeader] = own.Range;
        return ValueTask.FromResult<object?>(Refuse(StatusCodes.Status426UpgradeRequired, own.Refusal($"evacuator-agent of {Environment.MachineName}", stated)));
    }

    private static async Task<IResult> AnswerAsync<T>(Func<Task<T>> action)
    {
        try
        {
            T answer = await action();
            return answer as IResult ?? Json(answer);
        }
        catch (MoveRefusedException e)
        {
            return Refuse(StatusCodes.Status409Conflict, e.Message, e.Blockers);
        }
        catch (Exception e) when (e is InvalidDataException or JsonException or EndOfStreamException)
        {
            return Refuse(StatusCodes.Status400BadRequest, e.Message);
        }
        catch (Exception e) when (e is ContainerException or Network.NetworkException or IOException or Processes.CommandException)
        {
            return Refuse(StatusCodes.Status500InternalServerError, e.Message);
        }
    }

    private static async Task<T> ReadAsync<T>(HttpContext context) =>
        await JsonSerializer.DeserializeAsync<T>(context.Request.Body, ApiJson.Options, context.RequestAborted) ?? throw new InvalidDataException("an empty body");

    private static IResult Json<T>(T value) => Results.Json(value, ApiJson.Options);

    private static IResult Refuse(int status, string error, IReadOnlyList<Blocker>? blockers = null) =>
        Results.Json(new ErrorReply(error, blockers), ApiJson.Options, statusCode: status);
}
