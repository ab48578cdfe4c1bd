using System.Threading.Channels;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Lab.BmcSimulator.Http;
using Evacuator.Lab.BmcSimulator.Model;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;

namespace Evacuator.Lab.BmcSimulator.Events;

/// <summary>
/// The event stream. As on real BMCs it says nothing while nothing happens, it answers 200 before it finds that there are
/// too many streams, and it ends with the session that opened it.
/// </summary>
internal sealed class SseHandler(ServiceLayout layout, SseBroadcast broadcast, FaultMenu faults, IHostApplicationLifetime lifetime) : IRedfishHandler
{
    public async Task<RedfishReply?> TryHandleAsync(RedfishRequest request)
    {
        if (request.Method != "GET" || layout.ServerSentEvents is null || request.Uri != layout.ServerSentEvents)
        {
            return null;
        }

        HttpContext context = request.Context;
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-cache";
        await context.Response.Body.FlushAsync(context.RequestAborted);
        if (faults.Take(FaultKind.SseEnds, request.Method, request.Uri) is null && broadcast.Open(context.Request.Headers["Last-Event-ID"]) is { } stream)
        {
            // Ends with the client, the session, or the service.
            using var end = CancellationTokenSource.CreateLinkedTokenSource(
                context.RequestAborted, request.Session?.Ended ?? CancellationToken.None, lifetime.ApplicationStopping);
            await PumpAsync(stream, context.Response, end.Token);
        }

        return RedfishReply.Streamed;
    }

    private async Task PumpAsync(Channel<byte[]> stream, HttpResponse response, CancellationToken token)
    {
        try
        {
            await foreach (byte[] frame in stream.Reader.ReadAllAsync(token))
            {
                await response.Body.WriteAsync(faults.Apply(frame), token);
                await response.Body.FlushAsync(token);
            }
        }
        catch (OperationCanceledException)
        {
            // One of the three ends above.
        }
        finally
        {
            broadcast.Close(stream);
        }
    }
}
