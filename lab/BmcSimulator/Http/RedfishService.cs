using System.Globalization;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Lab.BmcSimulator.Model;
using Evacuator.Lab.BmcSimulator.Sessions;
using Microsoft.AspNetCore.Http;

namespace Evacuator.Lab.BmcSimulator.Http;

/// <summary>
/// The way of a request:
/// <code>
/// 1. counted
/// 2. hit by a fault that answers in its place, or holds it up
/// 3. at the door: session, Basic, or open to all
/// 4. answered by the first handler whose it is
/// 5. sent, perhaps damaged
/// </code>
/// </summary>
internal sealed class RedfishService(ServiceLayout layout, IReadOnlyList<IRedfishHandler> handlers, Authenticator authenticator, SessionTable sessions, RequestCounts counts, FaultMenu faults, TimeProvider time)
{
    public async Task HandleAsync(HttpContext context)
    {
        string method = context.Request.Method;
        string uri = RedfishRequest.UriOf(context);

        // 1.
        using IDisposable counted = counts.Enter(method, uri + context.Request.QueryString, method == "GET" && uri == layout.ServerSentEvents);

        // 2.
        if (faults.Take(FaultKind.Disconnect, method, uri) is not null)
        {
            context.Abort();
            return;
        }

        if (faults.Take(FaultKind.Stall, method, uri) is { } stall)
        {
            await Task.Delay(TimeSpan.FromSeconds(stall.Stall), time, context.RequestAborted);
        }

        if (FaultInPlace(context, method, uri) is { } faulty)
        {
            await SendAsync(context, faulty, method, uri);
            return;
        }

        // 3.
        Authenticator.Answer answer = authenticator.Check(context.Request);
        if (answer.Session is { } session && faults.Take(FaultKind.SessionDropped, method, uri) is not null)
        {
            sessions.Close(session.Id);
            answer = default;
        }

        if (!answer.Accepted && !IsOpen(method, uri))
        {
            await SendAsync(context, RedfishError.Unauthorized(uri), method, uri);
            return;
        }

        // 4.
        RedfishReply reply = await AnswerAsync(new RedfishRequest(context, method, uri, answer.Session));

        // 5.
        if (!ReferenceEquals(reply, RedfishReply.Streamed))
        {
            await SendAsync(context, reply, method, uri);
        }
    }

    private async Task<RedfishReply> AnswerAsync(RedfishRequest request)
    {
        foreach (IRedfishHandler handler in handlers)
        {
            if (await handler.TryHandleAsync(request) is { } reply)
            {
                return reply;
            }
        }

        return RedfishError.MethodNotAllowed(request.Method);
    }

    private RedfishReply? FaultInPlace(HttpContext context, string method, string uri)
    {
        if (faults.Take(FaultKind.Unavailable, method, uri) is { } unavailable)
        {
            return RedfishError.Unavailable(unavailable.RetryAfter);
        }

        if (faults.Take(FaultKind.Redirect, method, uri) is { } redirect)
        {
            string target = redirect.Location ?? $"https://other-bmc.invalid{context.Request.Path}{context.Request.QueryString}";
            return new RedfishReply(302, ReadOnlyMemory<byte>.Empty).With("Location", target);
        }

        return null;
    }

    private bool IsOpen(string method, string uri) => method switch
    {
        "GET" or "HEAD" => uri is "/redfish" or ServiceLayout.Root or ServiceLayout.Root + "/odata" or ServiceLayout.Root + "/$metadata",
        "POST" => layout.Sessions is { } logins && (uri == logins || uri == logins + "/Members"),
        _ => false,
    };

    private async Task SendAsync(HttpContext context, RedfishReply reply, string method, string uri)
    {
        HttpResponse response = context.Response;
        ReadOnlyMemory<byte> body = reply.Body;
        bool isRead = method == "GET" && reply.Status == 200;
        if (isRead)
        {
            body = BodyFaults.Apply(faults, uri, body);
        }

        response.StatusCode = reply.Status;
        response.Headers["OData-Version"] = "4.0";
        response.Headers.CacheControl = "no-cache";
        if (faults.ClockYear is { } year)
        {
            response.Headers.Date = BodyFaults.SetYearOfDate(time.GetUtcNow(), year).ToString("R", CultureInfo.InvariantCulture);
        }

        foreach ((string name, string value) in reply.Headers)
        {
            response.Headers[name] = value;
        }

        if (body.IsEmpty)
        {
            return;
        }

        response.ContentType = "application/json";
        long? padding = isRead ? faults.Take(FaultKind.HugeBody, method, uri)?.Size : null;
        response.ContentLength = body.Length + (padding ?? 0);
        if (method == "HEAD")
        {
            return;
        }

        if (isRead && faults.Take(FaultKind.HalfBody, method, uri) is not null)
        {
            await response.Body.WriteAsync(body[..(body.Length / 2)], context.RequestAborted);
            await response.Body.FlushAsync(context.RequestAborted);
            context.Abort();
            return;
        }

        await response.Body.WriteAsync(body, context.RequestAborted);
        await PadAsync(response, padding ?? 0, context.RequestAborted);
    }

    private static async Task PadAsync(HttpResponse response, long left, CancellationToken token)
    {
        byte[] spaces = new byte[64 << 10];
        Array.Fill(spaces, (byte)' ');
        for (; left > 0; left -= spaces.Length)
        {
            await response.Body.WriteAsync(spaces.AsMemory(0, (int)Math.Min(left, spaces.Length)), token);
        }
    }
}
