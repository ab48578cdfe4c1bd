using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Fleet;
using Evacuator.Fleet.Locks;
using Evacuator.Fleet.Membership;
using Evacuator.Health;
using Evacuator.Hosting;
using Evacuator.Journal;
using Evacuator.Placement;
using Evacuator.Power;
using Evacuator.Windows;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Evacuator.PeerApi;

/// <summary>What other brains may ask; see <see cref="PeerRoutes"/>. The listener has checked certificate and role before any of this runs.</summary>
internal static class PeerEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet(PeerRoutes.Capacity, CapacityAsync);
        routes.MapPost(PeerRoutes.Reservations, ReserveAsync);
        routes.MapGet(PeerRoutes.Reservations + "/{moveId:guid}", FindReservationAsync);
        routes.MapDelete(PeerRoutes.Reservations + "/{moveId:guid}", ForgetReservationAsync);
        routes.MapPost(PeerRoutes.Witness, WitnessAsync);
        routes.MapGet(PeerRoutes.Witness + "/{evacuationId:guid}", WitnessStatus);
        routes.MapDelete(PeerRoutes.Witness + "/{evacuationId:guid}", WithdrawWitness);
        routes.MapGet(PeerRoutes.Fleet, (FleetTls tls) => tls.Roster is { } roster
            ? Json(new RosterMessage(roster.Text))
            : Error(StatusCodes.Status404NotFound, "this node has no signed list of the fleet"));
        routes.MapPut(PeerRoutes.Fleet, TakeRosterAsync);
        HomecomingPeerEndpoints.Map(routes);
        routes.MapPut(PeerRoutes.JournalCopy, (HttpContext context, JournalCopy copy, JournalCopies copies) =>
        {
            copies.Keep(Caller(context), copy);
            return Results.NoContent();
        });
        routes.MapGet(PeerRoutes.JournalCopy, (HttpContext context, JournalCopies copies) =>
            copies.Find(Caller(context)) is { } copy ? Json(copy) : Error(StatusCodes.Status404NotFound, $"no copy of the journal of {Caller(context)} is here"));
        routes.MapPost(PeerRoutes.Lock, (HttpContext context, LockRequest request, FleetLockBook book) => Json(book.Note(Caller(context), request)));
        routes.MapDelete(PeerRoutes.Lock + "/{evacuationId:guid}", (HttpContext context, Guid evacuationId, FleetLockBook book) =>
        {
            book.Forget(Caller(context), evacuationId);
            return Results.NoContent();
        });
        routes.MapDelete(PeerRoutes.Lock + "/nodes/{node}", (string node, FleetLockBook book) =>
        {
            book.Forget(node, null);
            return Results.NoContent();
        });
    }

    /// <summary>Refuses other versions with a text that an operator understands at the other end.</summary>
    public static async Task CheckVersionAsync(HttpContext context, RequestDelegate next)
    {
        string? stated = context.Request.Headers[ProtocolVersions.Header];
        ProtocolVersions own = context.RequestServices.GetRequiredService<ProtocolVersions>();
        if (own.Read(stated) is not null)
        {
            await next(context).ConfigureAwait(false);
            return;
        }

        string node = context.RequestServices.GetRequiredService<EvacuatorOptions>().Node.Name;
        context.Response.StatusCode = StatusCodes.Status426UpgradeRequired;
        context.Response.Headers[ProtocolVersions.RangeHeader] = own.Range;
        await context.Response.WriteAsJsonAsync(new ErrorReply(own.Refusal($"{node} (Evacuator {ProgramVersion.Text})", stated)), ApiJson.Options, context.RequestAborted).ConfigureAwait(false);
    }

    private static string Caller(HttpContext context) => FleetTls.IdentityOf(context).Node;

    private static async Task<IResult> CapacityAsync(
        EvacuatorOptions options, NodeWatch watch, Reservations reservations, BmcHealth health, CircuitBreaker breaker, WindowService windows, FleetTls tls, CancellationToken token)
    {
        // Before the agent is asked, which takes a while: an intention shown to nobody would be worthless.
        bool intends = breaker.Intends;
        AgentView view = await watch.LookAsync(token).ConfigureAwait(false);
        IReadOnlyList<ContainerReport>? containers = view.Host is null ? null : await watch.RecentContainersAsync(token).ConfigureAwait(false);
        return Json(new PeerCapacity
        {
            Node = options.Node.Name,
            Version = ProgramVersion.Text,
            // Without the list the spread rule cannot be kept: better no answer about the host than a wrong one.
            Host = containers is null ? null : view.Host,
            Closed = reservations.WhyClosed(),
            Intends = intends || breaker.Intends,
            SpreadGroups = [.. (containers ?? []).Select(container => ContainerPolicy.Of(container).Spread).OfType<string>().Distinct()],
            Zone = options.Node.Zone,
            Rack = options.Node.Rack,
            ContainerNames = [.. (containers ?? []).Select(container => container.Name)],
            ContainerAddresses = [.. (containers ?? []).SelectMany(container => container.Addresses).Select(UnitMember.WithoutPrefix).Distinct()],
            Degraded = health.Degraded,
            NextWindow = windows.NextStart(),
            FleetNumber = tls.Roster?.Roster.Number,
            CertificateBy = tls.IssuedBy,
            Authorities = tls.Authorities.Fingerprints,
        });
    }

    private static async Task<IResult> ReserveAsync(HttpContext context, ReservationRequest request, Reservations reservations, CancellationToken token) =>
        Json(await reservations.ReserveAsync(Caller(context), request, token).ConfigureAwait(false));

    private static async Task<IResult> FindReservationAsync(HttpContext context, Guid moveId, Reservations reservations, CancellationToken token)
    {
        try
        {
            return await reservations.FindAsync(Caller(context), moveId, token).ConfigureAwait(false) is { } inbound
                ? Json(inbound)
                : Error(StatusCodes.Status404NotFound, $"no move {moveId:D} from {Caller(context)} is known");
        }
        catch (AgentException e)
        {
            return Error(StatusCodes.Status503ServiceUnavailable, e.Message);
        }
    }

    private static async Task<IResult> ForgetReservationAsync(HttpContext context, Guid moveId, Reservations reservations, CancellationToken token)
    {
        try
        {
            return await reservations.ForgetAsync(Caller(context), moveId, token).ConfigureAwait(false)
                ? Results.NoContent()
                : Error(StatusCodes.Status409Conflict, "the container has arrived here: it is too late to forget it");
        }
        catch (AgentException e)
        {
            return Error(StatusCodes.Status503ServiceUnavailable, e.Message);
        }
    }

    private static async Task<IResult> WitnessAsync(HttpContext context, WitnessRequest request, WitnessService witness, CancellationToken token) =>
        Json(await witness.AcceptAsync(Caller(context), request, token).ConfigureAwait(false));

    private static IResult WitnessStatus(HttpContext context, Guid evacuationId, WitnessService witness) =>
        witness.Status(Caller(context), evacuationId) is { } status
            ? Json(status)
            : Error(StatusCodes.Status404NotFound, $"no evacuation {evacuationId:D} of {Caller(context)} is watched");

    private static IResult WithdrawWitness(HttpContext context, Guid evacuationId, WitnessService witness)
    {
        witness.Withdraw(Caller(context), evacuationId);
        return Results.NoContent();
    }

    /// <summary>Who brings it does not matter: it is its authority's word or nothing.</summary>
    private static async Task<IResult> TakeRosterAsync(RosterMessage message, FleetMembership membership, CancellationToken token)
    {
        try
        {
            await membership.AcceptAsync(message.Text, spread: false, token).ConfigureAwait(false);
            return Results.NoContent();
        }
        catch (FleetSetupException e)
        {
            return Error(StatusCodes.Status400BadRequest, e.Message);
        }
    }

    private static IResult Json<T>(T value) => Results.Json(value, ApiJson.Options);

    private static IResult Error(int status, string text) => Results.Json(new ErrorReply(text), ApiJson.Options, statusCode: status);
}
