using System.Net;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Evacuator.Lab.BmcSimulator.Model;
using Evacuator.Lab.BmcSimulator.Tls;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Evacuator.Lab.BmcSimulator.Tests;

internal sealed record Received(string Path, string? Key, JsonObject Body);

/// <summary>An HTTPS listener for pushed events, as a client of a BMC has one.</summary>
internal sealed class PushListener : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly Channel<Received> _received = Channel.CreateUnbounded<Received>();

    private PushListener()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(options => options.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(BmcCertificate.Create("listener", TimeProvider.System))));
        _app = builder.Build();
        _app.Run(AnswerAsync);
    }

    public string Address => _app.Urls.Single() + "/";

    /// <summary>What it answers from now on.</summary>
    public volatile int Status = 200;

    public static async Task<PushListener> StartAsync()
    {
        var listener = new PushListener();
        await listener._app.StartAsync();
        return listener;
    }

    public async Task<Received> NextAsync()
    {
        using var hang = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        return await _received.Reader.ReadAsync(hang.Token);
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        context.Response.StatusCode = Status;
        await _received.Writer.WriteAsync(new Received(context.Request.Path, context.Request.Headers["X-Key"], JsonText.ParseObject(body.ToArray())));
    }
}
