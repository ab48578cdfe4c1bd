using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Common.Hosting;
using Evacuator.Fleet.Locks;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Evacuator.Api;

/// <summary>The fleet's lock; see <see cref="ApiRoutes"/>.</summary>
internal static class FleetEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet(ApiRoutes.Fleet, async (IFleetLock fleetLock, EvacuatorOptions options, CancellationToken token) =>
            Results.Json(new FleetReply(await fleetLock.LookAsync(token).ConfigureAwait(false), FleetLimits.Of(options)), ApiJson.Options));
        routes.MapDelete(ApiRoutes.Fleet + "/slots/{node}", UnlockAsync);
    }

    private static async Task<IResult> UnlockAsync(HttpContext context, string node, IFleetLock fleetLock, CancellationToken token)
    {
        string? why = NodeName.IsValid(node)
            ? await fleetLock.UnlockAsync(node, context.PeerCredentials()?.UserName ?? "unknown", token).ConfigureAwait(false)
            : $"\"{node}\" is not a node's name";
        return why is null ? Results.NoContent() : Results.Json(new ErrorReply(why), ApiJson.Options, statusCode: StatusCodes.Status409Conflict);
    }
}

/// <param name="Limits">as configured on this node</param>
internal sealed record FleetReply(FleetLockView Lock, FleetLimits Limits);
