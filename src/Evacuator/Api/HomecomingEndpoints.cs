using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Hosting;
using Evacuator.Homecoming;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Evacuator.Api;

/// <summary>Bringing containers home; see <see cref="ApiRoutes"/>.</summary>
internal static class HomecomingEndpoints
{
    private const int MostListed = 100;

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet(ApiRoutes.Homecomings + "/plan", PlanAsync);
        routes.MapPost(ApiRoutes.Homecomings, StartAsync);
        routes.MapGet(ApiRoutes.Homecomings, (int? limit, HomecomingService homecomings) => Results.Json(homecomings.Newest(Math.Clamp(limit ?? 20, 1, MostListed)), ApiJson.Options));
        routes.MapGet(ApiRoutes.Homecomings + "/last", (HomecomingService homecomings) => Found(homecomings.Last(), "no container has been brought home here so far"));
        routes.MapGet(ApiRoutes.Homecomings + "/{id:guid}", (Guid id, HomecomingService homecomings) => Found(homecomings.Find(id), $"this node knows no homecoming {id:D}"));
        routes.MapPost(ApiRoutes.Homecomings + "/current/cancel", (HttpContext context, HomecomingService homecomings) => homecomings.Cancel(CallerName(context)) is { } why
            ? Error(StatusCodes.Status409Conflict, why)
            : Results.Json(homecomings.Last(), ApiJson.Options, statusCode: StatusCodes.Status202Accepted));
    }

    private static async Task<IResult> PlanAsync(string[]? only, string[]? skip, HomecomingPlans plans, CancellationToken token)
    {
        try
        {
            if (await plans.WhyNotAsync(only ?? [], skip ?? [], token).ConfigureAwait(false) is { } why)
                return Error(StatusCodes.Status409Conflict, why);
            return Results.Json(await plans.MakeAsync(only ?? [], skip ?? [], token).ConfigureAwait(false), ApiJson.Options);
        }
        catch (AgentException e)
        {
            return Error(StatusCodes.Status503ServiceUnavailable, e.Message);
        }
    }

    private static async Task<IResult> StartAsync(HttpContext context, ReturnRequest request, HomecomingService homecomings, HomecomingPlans plans, CancellationToken token)
    {
        if (request.OperationId == Guid.Empty)
            return Error(StatusCodes.Status400BadRequest, "operationId is missing");
        try
        {
            // One that is known was good when it began.
            if (homecomings.Find(request.OperationId) is null && await plans.WhyNotAsync(request.Only, request.Skip, token).ConfigureAwait(false) is { } why)
                return Error(StatusCodes.Status409Conflict, why);
        }
        catch (AgentException e)
        {
            return Error(StatusCodes.Status503ServiceUnavailable, e.Message);
        }

        HomecomingStart start = homecomings.Start(request.OperationId, CallerName(context), request.Only, request.Skip);
        return start.State is { } state
            ? Results.Json(state, ApiJson.Options, statusCode: start.Existing ? StatusCodes.Status200OK : StatusCodes.Status202Accepted)
            : Error(StatusCodes.Status409Conflict, start.Reason);
    }

    private static string CallerName(HttpContext context) => context.PeerCredentials()?.UserName ?? "unknown";

    private static IResult Found(HomecomingState? state, string otherwise) => state is null ? Error(StatusCodes.Status404NotFound, otherwise) : Results.Json(state, ApiJson.Options);

    private static IResult Error(int status, string text) => Results.Json(new ErrorReply(text), ApiJson.Options, statusCode: status);
}
