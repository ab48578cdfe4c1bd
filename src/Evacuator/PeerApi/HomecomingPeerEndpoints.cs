using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;
using Evacuator.Fleet;
using Evacuator.Homecoming;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Evacuator.PeerApi;

/// <summary>What other brains may ask about containers of theirs that are here; see <see cref="PeerRoutes"/>.</summary>
internal static class HomecomingPeerEndpoints
{
    private const int MaxInvited = 1000;

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet(PeerRoutes.Guests, GuestsAsync);
        routes.MapPost(PeerRoutes.Departures, DepartAsync);
        routes.MapGet(PeerRoutes.Departures + "/{id:guid}", (HttpContext context, Guid id, DepartureService departures) => Found(departures.Find(Caller(context), id)));
        routes.MapDelete(PeerRoutes.Departures + "/{id:guid}", (HttpContext context, Guid id, DepartureService departures) => Found(departures.Cancel(Caller(context), id)));
        routes.MapPost(PeerRoutes.Homecomings, Invite);
    }

    private static async Task<IResult> GuestsAsync(HttpContext context, GuestBook guests, CancellationToken token)
    {
        try
        {
            string caller = Caller(context);
            return Json((await guests.PresentAsync(token).ConfigureAwait(false)).Where(guest => guest.Home == caller).Select(guest => new GuestReport(guest.Container, guest.From, guest.Since)));
        }
        catch (AgentException e)
        {
            return Error(StatusCodes.Status503ServiceUnavailable, e.Message);
        }
    }

    /// <summary>Always to the caller: nobody can send a container to a third node.</summary>
    private static async Task<IResult> DepartAsync(HttpContext context, DepartureRequest request, DepartureService departures, CancellationToken token)
    {
        try
        {
            return Json(await departures.StartAsync(Caller(context), request, Caller(context), token).ConfigureAwait(false));
        }
        catch (AgentException e)
        {
            return Error(StatusCodes.Status503ServiceUnavailable, e.Message);
        }
    }

    private static IResult Invite(HttpContext context, HomecomingInvitation invitation, HomecomingService homecomings)
    {
        if (invitation.Containers.Count is 0 or > MaxInvited)
            return Error(StatusCodes.Status400BadRequest, $"name 1 to {MaxInvited} containers");
        HomecomingStart start = homecomings.Start(invitation.Id, Caller(context), invitation.Containers, []);
        return start.State is null ? Error(StatusCodes.Status409Conflict, start.Reason) : Results.NoContent();
    }

    private static string Caller(HttpContext context) => FleetTls.IdentityOf(context).Node;

    private static IResult Found(DepartureReport? report) => report is null ? Error(StatusCodes.Status404NotFound, "no such request of the caller is known") : Json(report);

    private static IResult Json<T>(T value) => Results.Json(value, ApiJson.Options);

    private static IResult Error(int status, string text) => Results.Json(new ErrorReply(text), ApiJson.Options, statusCode: status);
}
