using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Hosting;
using Evacuator.Evacuation;
using Evacuator.Health;
using Evacuator.Homecoming;
using Evacuator.Journal;
using Evacuator.Power;
using Evacuator.Windows;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace Evacuator.Api;

/// <summary>What operators may ask; see <see cref="ApiRoutes"/>. Who may connect is a matter of the socket's mode and group.</summary>
internal static class ApiEndpoints
{
    private const int MaxReason = 500;
    private const int MaxTicket = 100;
    private const int MaxReports = 100;

    /// <summary>Less than TimeoutStopSec= of evacuator-on-shutdown.service, so that what is late is cancelled and not cut off.</summary>
    private static readonly TimeSpan s_longestShutdown = TimeSpan.FromHours(3.5);

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet(ApiRoutes.Status, StatusAsync);
        routes.MapGet(ApiRoutes.Plan, PlanAsync);
        routes.MapPost(ApiRoutes.Evacuations, StartAsync);
        routes.MapGet(ApiRoutes.Evacuations, Reports);
        routes.MapGet(ApiRoutes.Evacuations + "/last", LastReport);
        routes.MapGet(ApiRoutes.Evacuations + "/{id:guid}", Report);
        routes.MapPost(ApiRoutes.Cancel, Cancel);
        routes.MapPost(ApiRoutes.Settle, SettleAsync);
        routes.MapPost(ApiRoutes.Retry, RetryAsync);
        routes.MapPost(ApiRoutes.Rehearsals, RehearseAsync);
        routes.MapGet(ApiRoutes.Rehearsals, async (RehearsalService rehearsals, CancellationToken token) => Json(await rehearsals.ResultsAsync(token).ConfigureAwait(false)));
        routes.MapPost(ApiRoutes.Reopen, ReopenAsync);
        routes.MapGet(ApiRoutes.Config, Config);
        routes.MapGet(ApiRoutes.Signals, (BmcHealth health) => Json(health.Signals));
        routes.MapGet(ApiRoutes.Bmc, (BmcHealth health) => Json(health.Report));
        routes.MapPut(ApiRoutes.Led, LedAsync);
        HomecomingEndpoints.Map(routes);
        WindowEndpoints.Map(routes);
        FleetEndpoints.Map(routes);
    }

    private static async Task<IResult> StatusAsync(StatusBuilder builder, CancellationToken token) => Json(await builder.StatusAsync(token).ConfigureAwait(false));

    private static async Task<IResult> PlanAsync(StatusBuilder builder, CancellationToken token)
    {
        try
        {
            return Json(await builder.PlanAsync(token).ConfigureAwait(false));
        }
        catch (AgentException e)
        {
            return Error(StatusCodes.Status503ServiceUnavailable, e.Message);
        }
    }

    private static async Task<IResult> StartAsync(HttpContext context, StartRequest request, EvacuationService evacuations, HomecomingService homecomings, DrainEstimate estimate, TimeProvider time, CancellationToken token)
    {
        if (Check(request) is { } mistake)
            return Error(StatusCodes.Status400BadRequest, mistake);
        TimeSpan? patience = null;
        try
        {
            if (request.OnShutdown)
                patience = await estimate.MakeAsync(token).ConfigureAwait(false) * 2 is var twice && twice < s_longestShutdown ? twice : s_longestShutdown;
        }
        catch (AgentException e)
        {
            return Error(StatusCodes.Status503ServiceUnavailable, e.Message);
        }

        HomecomingState? homecoming = homecomings.Active;
        StartResult result = evacuations.Start(new Trigger
        {
            Kind = request.OnShutdown ? TriggerKind.Shutdown : TriggerKind.Operator,
            Until = time.GetUtcNow() + patience,
            Key = $"operator:{request.OperationId:D}",
            Reason = request.Reason.Trim(),
            Ticket = request.Ticket?.Trim(),
            RequestedBy = CallerName(context),
            PowerOff = request.PowerOff,
            Partial = request.Partial ?? (request.OnShutdown ? true : null),
            Deadline = request.DeadlineSeconds is { } limit ? time.GetUtcNow() + TimeSpan.FromSeconds(limit) : null,
            Force = request.Force,
            ForceAfter = request.ForceAfterSeconds is { } seconds ? TimeSpan.FromSeconds(seconds) : null,
        });
        return result.Id is { } id
            ? Results.Json(new StartReply(id, result.Existing, homecoming is null || result.Existing ? result.Text : $"{result.Text}; {HomecomingService.CalledOff(homecoming)}", patience?.TotalSeconds), ApiJson.Options, statusCode: result.Existing ? StatusCodes.Status200OK : StatusCodes.Status202Accepted)
            : Error(StatusCodes.Status409Conflict, result.Text);
    }

    private static string? Check(StartRequest request)
    {
        if (request.OperationId == Guid.Empty)
            return "operationId is missing";
        if (string.IsNullOrWhiteSpace(request.Reason))
            return "a reason is needed: whoever finds this node empty will want to know why";
        if (request.Reason.Length > MaxReason || request.Reason.Any(char.IsControl))
            return $"the reason must be one line of at most {MaxReason} characters";
        if (request.Ticket is { } ticket && (ticket.Length > MaxTicket || ticket.Any(char.IsControl)))
            return $"the ticket must be one line of at most {MaxTicket} characters";
        if (request.OnShutdown && request.PowerOff)
            return "the host goes down by itself: no power-off besides";
        if (request.ForceAfterSeconds is not null && !request.PowerOff)
            return "--force-after makes sense with --power-off only";
        if (request.DeadlineSeconds is < 1 or > 7 * 86_400)
            return "--deadline must be from one second to a week";
        return request.ForceAfterSeconds is < 0 or > 86_400 ? "--force-after must be at most one day" : null;
    }

    private static IResult Reports(EvacuationService evacuations, int? limit) => Json(evacuations.Reports(Math.Clamp(limit ?? 20, 1, MaxReports)));

    private static IResult LastReport(EvacuationService evacuations) => evacuations.Reports(1) is [var report]
        ? Json(report)
        : Error(StatusCodes.Status404NotFound, "this node has never been emptied and has not witnessed another's evacuation");

    private static IResult Report(Guid id, EvacuationService evacuations) => evacuations.Report(id) is { } report
        ? Json(report)
        : Error(StatusCodes.Status404NotFound, $"this node knows no evacuation {id:D}");

    private static IResult Cancel(HttpContext context, EvacuationService evacuations, bool? @return) => evacuations.Cancel(CallerName(context), @return ?? false) is { } why
        ? Error(StatusCodes.Status409Conflict, why)
        : Results.Json(evacuations.LastOwn(), ApiJson.Options, statusCode: StatusCodes.Status202Accepted);

    private static async Task<IResult> RehearseAsync(RehearsalService rehearsals, string? container, CancellationToken token)
    {
        try
        {
            return Json(await rehearsals.RehearseAsync(container, token).ConfigureAwait(false));
        }
        catch (InvalidOperationException e)
        {
            return Error(StatusCodes.Status409Conflict, e.Message);
        }
        catch (AgentException e)
        {
            return Error(StatusCodes.Status503ServiceUnavailable, e.Message);
        }
    }

    private static async Task<IResult> RetryAsync(HttpContext context, RetryRequest request, EvacuationService evacuations, CancellationToken token)
    {
        try
        {
            return await evacuations.RetryAsync(request.Container, CallerName(context), token).ConfigureAwait(false) is { } why
                ? Error(StatusCodes.Status409Conflict, why)
                : Results.Json(evacuations.LastOwn(), ApiJson.Options, statusCode: StatusCodes.Status202Accepted);
        }
        catch (AgentException e)
        {
            return Error(StatusCodes.Status503ServiceUnavailable, e.Message);
        }
    }

    private static async Task<IResult> SettleAsync(HttpContext context, SettleRequest request, GonePeer gone, CancellationToken token)
    {
        if (request.BmcUrl is null && !request.Unverified)
            return Error(StatusCodes.Status400BadRequest, "name the BMC of the host that is gone, or say that it is off without one");
        SettleResult result = await gone.SettleAsync(request, CallerName(context), token).ConfigureAwait(false);
        return result.Reply is { } reply ? Json(reply) : Error(StatusCodes.Status409Conflict, result.Refusal);
    }

    private static async Task<IResult> ReopenAsync(HttpContext context, EvacuationService evacuations, PowerHandover power, CancellationToken token)
    {
        if (await evacuations.ReopenAsync(CallerName(context), token).ConfigureAwait(false) is { } why)
            return Error(StatusCodes.Status409Conflict, why);
        // The service is over: whoever walks by is not to look for this host any more.
        return Json(new ReopenReply(power.LedLitSince is null ? null : await power.DarkenLedAsync(token).ConfigureAwait(false)));
    }

    private static IResult Config(ConfigurationResult configuration) => Json(new ConfigReply(configuration.Values));

    private static async Task<IResult> LedAsync(LedRequest request, HttpContext context, OwnBmc own, PowerHandover power, ILogger<LedRequest> log, CancellationToken token)
    {
        if (!own.Exists)
            return Error(StatusCodes.Status409Conflict, "this node has no BMC: set [bmc] url");
        string outcome = request.On ? await power.LightLedAsync(token).ConfigureAwait(false) : await power.DarkenLedAsync(token).ConfigureAwait(false);
        if (log.IsEnabled(LogLevel.Information))
            log.LogInformation(new EventId(300), "LED {Wanted} by {User}: {Outcome}", request.On ? "on" : "off", CallerName(context), outcome);
        return outcome == (request.On ? "on" : "off") ? Json(new LedReply(outcome)) : Error(StatusCodes.Status502BadGateway, outcome);
    }

    private static string CallerName(HttpContext context) => context.PeerCredentials()?.UserName ?? "unknown";

    private static IResult Json<T>(T value) => Results.Json(value, ApiJson.Options);

    private static IResult Error(int status, string text) => Results.Json(new ErrorReply(text), ApiJson.Options, statusCode: status);
}
