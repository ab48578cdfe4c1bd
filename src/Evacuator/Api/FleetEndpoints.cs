using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Common.Hosting;
using Evacuator.Fleet;
using Evacuator.Fleet.Etcd;
using Evacuator.Fleet.Locks;
using Evacuator.Fleet.Membership;
using Evacuator.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Evacuator.Api;

/// <summary>The fleet's lock, its list of nodes, and leaving it; see <see cref="ApiRoutes"/>.</summary>
internal static class FleetEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet(ApiRoutes.Fleet, async (IFleetLock fleetLock, IFleetRegister register, PeerDirectory peers, EvacuatorOptions options, CancellationToken token) =>
            Results.Json(new FleetReply(await fleetLock.LookAsync(token).ConfigureAwait(false), FleetLimits.Of(options, peers.Names.Count + 1), await register.ReservationsAsync(token).ConfigureAwait(false)), ApiJson.Options));
        routes.MapGet(ApiRoutes.Fleet + "/nodes", NodesAsync);
        routes.MapDelete(ApiRoutes.Fleet + "/slots/{node}", UnlockAsync);
        routes.MapPost(ApiRoutes.Fleet, AcceptAsync);
        routes.MapPost(ApiRoutes.Leave, LeaveAsync);
    }

    private static async Task<IResult> UnlockAsync(HttpContext context, string node, IFleetLock fleetLock, CancellationToken token)
    {
        string? why = NodeName.IsValid(node)
            ? await fleetLock.UnlockAsync(node, context.PeerCredentials()?.UserName ?? "unknown", token).ConfigureAwait(false)
            : $"\"{node}\" is not a node's name";
        return why is null ? Results.NoContent() : Results.Json(new ErrorReply(why), ApiJson.Options, statusCode: StatusCodes.Status409Conflict);
    }

    private static async Task<IResult> AcceptAsync(RosterMessage message, FleetMembership membership, CancellationToken token)
    {
        try
        {
            return Results.Json(await membership.AcceptAsync(message.Text, spread: true, token).ConfigureAwait(false), ApiJson.Options);
        }
        catch (FleetSetupException e)
        {
            return Results.Json(new ErrorReply(e.Message), ApiJson.Options, statusCode: StatusCodes.Status409Conflict);
        }
    }

    private static async Task<IResult> NodesAsync(PeerDirectory peers, NodeWatch watch, FleetTls tls, EvacuatorOptions options, CancellationToken token)
    {
        AgentView own = await watch.LookAsync(token).ConfigureAwait(false);
        await peers.SurveyAsync(token).ConfigureAwait(false);
        AskedNode self = new(options.Node.Name, null, NodeTrust.Of(tls.IssuedBy, tls.Authorities.Fingerprints, own.Host));
        return Results.Json(new AskedNodes([self, .. peers.Standings.Select(standing => new AskedNode(standing.Name, standing, standing.Trust))]), ApiJson.Options);
    }

    private static async Task<IResult> LeaveAsync(Leaving leaving, CancellationToken token)
    {
        IReadOnlyList<string> reasons = await leaving.PrepareAsync(token).ConfigureAwait(false);
        return reasons.Count == 0
            ? Results.NoContent()
            : Results.Json(new ErrorReply($"this node cannot leave the fleet now: {string.Join("; ", reasons)}"), ApiJson.Options, statusCode: StatusCodes.Status409Conflict);
    }
}

/// <param name="Limits">as configured on this node</param>
/// <param name="Reservations">room held for containers on their way, in the whole fleet; empty without a store: each node shows its own in its status</param>
internal sealed record FleetReply(FleetLockView Lock, FleetLimits Limits, IReadOnlyList<ReservationRecord> Reservations);
