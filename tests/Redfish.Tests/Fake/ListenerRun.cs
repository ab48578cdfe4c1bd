using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Lab.BmcSimulator;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Redfish.Events;
using Evacuator.Redfish.Session;
using Evacuator.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Evacuator.Redfish.Tests.Fake;

/// <summary>A simulated BMC, a client and a running listener, and for push the HTTPS place that the BMC posts to. Taken down in reverse.</summary>
internal sealed class ListenerRun : IAsyncDisposable
{
    // Far beyond what anything takes: only a hang reaches it.
    private static readonly TimeSpan Hang = TimeSpan.FromSeconds(60);

    private readonly CancellationTokenSource _stop = new();
    private readonly IAsyncEnumerator<BmcEvent> _events;
    private readonly WebApplication? _place;
    private readonly Task _running;
    private Task<bool>? _next;
    private bool _bmcStopped;

    private ListenerRun(BmcSimulatorHost bmc, BmcClient client, BmcListener listener, WebApplication? place)
    {
        Bmc = bmc;
        Client = client;
        Listener = listener;
        _place = place;
        _running = Task.Run(() => listener.RunAsync(_stop.Token));
        _events = listener.ReadAllAsync(_stop.Token).GetAsyncEnumerator();
    }

    public BmcSimulatorHost Bmc { get; }

    public BmcClient Client { get; }

    public BmcListener Listener { get; }

    public static async Task<ListenerRun> StartAsync(BmcListenerOptions options, Fault? fault = null, bool push = false, bool stream = true,
        Func<BmcClient, Task>? before = null, TimeProvider? time = null)
    {
        BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { RetryInterval = TimeSpan.FromMilliseconds(20) });
        if (!stream)
            bmc.Patch("/redfish/v1/EventService", """{"ServerSentEventUri":null}""");
        BmcListener? listener = null;
        WebApplication? place = null;
        if (push)
        {
            place = await StartPlaceAsync(body => listener?.AcceptPush(body));
            options = options with { PushDestination = new Uri(new Uri(place.Urls.First()), "/events/secret-of-this-start") };
        }
        time ??= TimeProvider.System;
        BmcClient client = new(new BmcOptions
        {
            Url = bmc.BaseAddress,
            User = "evacuator",
            Password = _ => ValueTask.FromResult("evacuator"),
            Fingerprint = bmc.Fingerprint,
            Timeouts = time is ManualTime
                ? new BmcTimeouts { Request = TimeSpan.FromDays(10), StreamHeaders = TimeSpan.FromDays(10), Read = TimeSpan.FromDays(30), Logout = TimeSpan.FromDays(10) }
                : new BmcTimeouts { RetryBase = TimeSpan.FromMilliseconds(1) },
        }, time, new Random(1));
        if (before is not null)
            await before(client);
        if (fault is not null)
            bmc.AddFault(fault);
        listener = new BmcListener(client, options, time, new Random(2));
        return new ListenerRun(bmc, client, listener, place);
    }

    /// <summary>Waits until the BMC has the stream on its list: like real ones it answers first, so the listener may know of the stream before the BMC sends events to it.</summary>
    public Task StreamIsOpenAsync() => Bmc.WhenStreamsAreAsync(1, CancellationToken.None).WaitAsync(Hang);

    /// <summary>The next event of any kind.</summary>
    public async Task<BmcEvent> NextAsync()
    {
        Task<bool> next = _next ?? _events.MoveNextAsync().AsTask();
        _next = next;
        await Task.WhenAny(next, _running).WaitAsync(Hang);
        if (!next.IsCompleted)
            await _running;
        Assert.True(await next);
        _next = null;
        return _events.Current;
    }

    public async Task<BmcEvent> NextAsync(BmcEventKind kind)
    {
        while (true)
            if (await NextAsync() is { } next && next.Kind == kind)
                return next;
    }

    /// <summary>An event that waits already; null when none does.</summary>
    public BmcEvent? TryNext()
    {
        _next ??= _events.MoveNextAsync().AsTask();
        if (!_next.IsCompleted)
            return null;
        _next = null;
        return _events.Current;
    }

    public async Task<ListeningState> UntilAsync(Func<ListeningState, bool> holds)
    {
        using CancellationTokenSource hang = new(Hang);
        while (true)
        {
            if (Listener.State is var state && holds(state))
                return state;
            Assert.False(_running.IsCompleted, "the listener ended");
            Assert.False(hang.IsCancellationRequested, $"still {Listener.State}");
            await Task.Delay(2, CancellationToken.None);
        }
    }

    /// <summary>Moves the clock from wait to wait. Time limits of requests are days here, so that only the listener's own waits pass.</summary>
    public async Task StepAsync(ManualTime time, Func<bool> until)
    {
        using CancellationTokenSource hang = new(Hang);
        while (!until())
        {
            Assert.False(_running.IsCompleted, "the listener ended");
            Assert.False(hang.IsCancellationRequested, $"still {Listener.State}");
            int before = Bmc.Requests.Total;
            await Task.Delay(1, CancellationToken.None);
            if (Bmc.Requests.Total == before && time.NextDue is { } due && due < TimeSpan.FromHours(1))
                time.Advance(due);
        }
    }

    public async Task StopListenerAsync()
    {
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _running.WaitAsync(Hang));
    }

    public async Task StopBmcAsync()
    {
        _bmcStopped = true;
        await Bmc.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_stop.IsCancellationRequested)
            await StopListenerAsync();
        await Client.DisposeAsync();
        if (!_bmcStopped)
            await Bmc.DisposeAsync();
        if (_place is not null)
            await _place.DisposeAsync();
        _stop.Dispose();
    }

    private static async Task<WebApplication> StartPlaceAsync(Action<ReadOnlyMemory<byte>> arrived)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 made = new CertificateRequest("CN=listener", key, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        X509Certificate2 certificate = X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null);
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(certificate)));
        WebApplication app = builder.Build();
        app.Run(async context =>
        {
            using MemoryStream body = new();
            await context.Request.Body.CopyToAsync(body);
            arrived(body.ToArray());
        });
        await app.StartAsync();
        return app;
    }
}
