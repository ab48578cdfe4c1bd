using Evacuator.Common.AgentApi;
using Evacuator.Common.Hosting;
using Evacuator.Journal;
using Evacuator.Notices;
using Evacuator.Windows;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Evacuator.Api;

/// <summary>Maintenance windows and notices; see <see cref="ApiRoutes"/>.</summary>
internal static class WindowEndpoints
{
    private const int MostNext = 1000;
    private const int MostNotices = 1000;

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet(ApiRoutes.Windows, (WindowBook windows) => Json(windows.All));
        routes.MapPost(ApiRoutes.Windows, Add);
        routes.MapDelete(ApiRoutes.Windows + "/{name}", (string name, WindowBook windows) => windows.Remove(name)
            ? Results.NoContent()
            : Error(StatusCodes.Status404NotFound, $"there is no window {name}"));
        routes.MapGet(ApiRoutes.Windows + "/next", (int? count, WindowBook windows) => Json(windows.Upcoming(Math.Clamp(count ?? 10, 1, MostNext))));
        routes.MapGet(ApiRoutes.Notices, (int? limit, JournalStore journal) => Json(journal.RecentNotices(Math.Clamp(limit ?? 50, 1, MostNotices))));
        routes.MapPost(ApiRoutes.Notices + "/test", (HttpContext context, NoticeBook notices) =>
        {
            Notice notice = notices.Make(NoticeKind.Test, $"test/{Guid.NewGuid():D}", $"a test, asked for by {context.PeerCredentials()?.UserName ?? "unknown"}");
            notices.Raise(notice);
            return Results.Json(notice, ApiJson.Options, statusCode: StatusCodes.Status202Accepted);
        });
    }

    private static IResult Add(HttpContext context, WindowRequest request, WindowBook windows, TimeProvider time)
    {
        MaintenanceWindow window = new()
        {
            Name = request.Name,
            Cron = request.Cron,
            At = request.At,
            TimeZone = request.TimeZone,
            Duration = TimeSpan.FromSeconds(request.DurationSeconds),
            Blackouts = request.Blackouts,
            DrainBy = request.DrainBySeconds is { } drain ? TimeSpan.FromSeconds(drain) : null,
            PowerOff = request.PowerOff,
            Reason = request.Reason.Trim(),
            Ticket = request.Ticket?.Trim(),
            AddedBy = context.PeerCredentials()?.UserName ?? "unknown",
            Added = time.GetUtcNow(),
        };
        if (window.Reason.Length is 0 or > 500 || window.Reason.Any(char.IsControl))
            return Error(StatusCodes.Status400BadRequest, "the reason must be one line of at most 500 characters");
        (string? mistake, string? conflict) = windows.Add(window);
        return mistake is not null ? Error(StatusCodes.Status400BadRequest, mistake)
            : conflict is not null ? Error(StatusCodes.Status409Conflict, conflict)
            : Results.Json(window, ApiJson.Options, statusCode: StatusCodes.Status201Created);
    }

    private static IResult Json<T>(T value) => Results.Json(value, ApiJson.Options);

    private static IResult Error(int status, string text) => Results.Json(new ErrorReply(text), ApiJson.Options, statusCode: status);
}

/// <summary>A window to be added; the fields are those of <see cref="MaintenanceWindow"/>.</summary>
internal sealed record WindowRequest
{
    public required string Name { get; init; }

    public string? Cron { get; init; }

    public DateTimeOffset? At { get; init; }

    public required string TimeZone { get; init; }

    public required int DurationSeconds { get; init; }

    public IReadOnlyList<DateOnly> Blackouts { get; init; } = [];

    public int? DrainBySeconds { get; init; }

    public bool PowerOff { get; init; }

    public required string Reason { get; init; }

    public string? Ticket { get; init; }
}
