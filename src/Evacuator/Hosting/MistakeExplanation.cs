using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;
using Evacuator.Journal;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Evacuator.Hosting;

/// <summary>Answers in words what a handler throws because of what it was asked, or of what this host cannot do just now.</summary>
internal static class MistakeExplanation
{
    public static void UseMistakeExplanation(this IApplicationBuilder app) => app.Use(ExplainAsync);

    private static async Task ExplainAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            await next(context).ConfigureAwait(false);
        }
        catch (Exception e) when (!context.Response.HasStarted && Explain(e) is not null)
        {
            (int status, string text) = Explain(e)!.Value;
            context.Response.StatusCode = status;
            await context.Response.WriteAsJsonAsync(new ErrorReply(text), ApiJson.Options, context.RequestAborted).ConfigureAwait(false);
        }
    }

    /// <summary>Null: it is a mistake of this program.</summary>
    private static (int Status, string Text)? Explain(Exception e) => e switch
    {
        Microsoft.AspNetCore.Http.BadHttpRequestException bad => (bad.StatusCode, (bad.InnerException ?? bad).Message),
        FleetSetupException => (StatusCodes.Status409Conflict, e.Message),
        JournalException => (StatusCodes.Status507InsufficientStorage, e.Message),
        _ => null,
    };
}
