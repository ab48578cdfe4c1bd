using System.Net;
using System.Security.Cryptography;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Common.Hosting;
using Evacuator.Redfish.Events;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Health;

/// <summary>
/// Where the management controller posts events to: an HTTPS server of its own, off unless [bmc] push-address is set. Nothing else can be asked of it, and it shares no
/// limit with the listener for peers, so whoever floods it disturbs nobody.
/// </summary>
internal sealed partial class PushReceiver(EvacuatorOptions options, FleetTls tls, TimeProvider time, ILogger<PushReceiver> log) : BackgroundService
{
    private const string Place = "/redfish/events/";
    private const int MaxConnections = 16;
    private const int SecretBytes = 16;

    private static readonly TimeSpan Retry = TimeSpan.FromSeconds(30);

    // New with each start: a controller that still posts to an old one is not heard, and its subscription is deleted as one of ours.
    private readonly string _path = Place + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(SecretBytes));
    private volatile BmcListener? _listener;

    /// <summary>What the controller is told; null when nothing is configured.</summary>
    public Uri? Destination => options.Bmc.PushAddress.Length == 0
        ? null
        : new UriBuilder("https", IPAddress.Parse(options.Bmc.PushAddress).ToString(), options.Bmc.PushPort, _path).Uri;

    /// <summary>Who gets what is posted, until disposed.</summary>
    public IDisposable SendTo(BmcListener listener)
    {
        _listener = listener;
        return new Ending(this);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (options.Bmc.PushAddress.Length > 0)
        {
            WebApplication server = Build();
            await using (server.ConfigureAwait(false))
            {
                try
                {
                    await server.StartAsync(stoppingToken).ConfigureAwait(false);
                    LogListens(log, options.Bmc.PushAddress, options.Bmc.PushPort);
                    await Task.Delay(Timeout.InfiniteTimeSpan, time, stoppingToken).ConfigureAwait(false);
                }
                catch (IOException e)
                {
                    // The address may come up later; until then the controller's logs are looked at.
                    LogNotListening(log, options.Bmc.PushAddress, options.Bmc.PushPort, e.Message);
                }
            }

            await Task.Delay(Retry, time, stoppingToken).ConfigureAwait(false);
        }
    }

    private WebApplication Build()
    {
        WebApplicationBuilder builder = ServiceHosting.CreateBuilder();
        builder.Logging.ClearProviders();
        // The service's own lifetime, which handles signals, is the other host's.
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxConcurrentConnections = MaxConnections;
            kestrel.Limits.MaxRequestBodySize = EventPayload.MaxBytes + 1;
            kestrel.Limits.MaxRequestHeadersTotalSize = 16 * 1024;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.Limits.KeepAliveTimeout = TimeSpan.FromMinutes(1);
            kestrel.Listen(IPAddress.Parse(options.Bmc.PushAddress), options.Bmc.PushPort, listen =>
            {
                listen.Protocols = HttpProtocols.Http1;
                tls.UseWithoutClientCertificateOn(listen);
            });
        });
        WebApplication server = builder.Build();
        server.Run(TakeAsync);
        return server;
    }

    /// <summary>Anything that is not ours gets 404; what is ours gets 200 at once, whatever is in it: some controllers send again, and then give up, on any other answer.</summary>
    private async Task TakeAsync(HttpContext context)
    {
        byte[] path = System.Text.Encoding.UTF8.GetBytes(context.Request.Path.Value ?? "");
        if (!HttpMethods.IsPost(context.Request.Method) || !CryptographicOperations.FixedTimeEquals(path, System.Text.Encoding.UTF8.GetBytes(_path)))
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        ReadOnlyMemory<byte> body = await ReadAsync(context).ConfigureAwait(false);
        context.Response.StatusCode = StatusCodes.Status200OK;
        await context.Response.CompleteAsync().ConfigureAwait(false);
        _listener?.AcceptPush(body);
    }

    /// <summary>The body, or one byte more than is taken of it: the listener then knows that something was lost.</summary>
    private static async Task<ReadOnlyMemory<byte>> ReadAsync(HttpContext context)
    {
        using MemoryStream all = new();
        byte[] part = new byte[16 * 1024];
        try
        {
            int count;
            while (all.Length <= EventPayload.MaxBytes && (count = await context.Request.Body.ReadAsync(part, context.RequestAborted).ConfigureAwait(false)) > 0)
                all.Write(part, 0, count);
        }
        catch (Microsoft.AspNetCore.Http.BadHttpRequestException)
        {
            return new byte[EventPayload.MaxBytes + 1];
        }

        return all.ToArray();
    }

    private sealed class Ending(PushReceiver receiver) : IDisposable
    {
        public void Dispose() => receiver._listener = null;
    }

    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    [LoggerMessage(EventId = 297, Level = LogLevel.Information, Message = "Events that the BMC posts are taken at {Address}:{Port}")]
    private static partial void LogListens(ILogger logger, string address, int port);

    [LoggerMessage(EventId = 298, Level = LogLevel.Warning, Message = "Events that the BMC posts cannot be taken at {Address}:{Port}: {Reason}. Tried again every 30 s")]
    private static partial void LogNotListening(ILogger logger, string address, int port, string reason);
}
