using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Control;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Lab.BmcSimulator.Http;
using Evacuator.Lab.BmcSimulator.Model;
using Evacuator.Lab.BmcSimulator.Tls;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Lab.BmcSimulator;

/// <summary>
/// One running BMC: the Redfish service over HTTPS, and with a state directory the control socket. The program hosts one;
/// tests of Redfish clients host as many as they need, each on its own loopback port.
/// </summary>
public sealed class BmcSimulatorHost : IAsyncDisposable
{
    private const string ControlMark = "control";

    private readonly WebApplication _app;
    private readonly SimulatorParts _parts;
    private readonly SimulatorControl _control;
    private readonly ConnectionList _connections = new();
    private readonly StateDirectory? _state;
    private readonly CancellationTokenSource _stop = new();
    private readonly TimeProvider _time;
    private volatile X509Certificate2 _certificate;
    private Task _watch = Task.CompletedTask;
    private int _disposed;

    private BmcSimulatorHost(BmcSimulatorSettings settings, Action<ILoggingBuilder> logging)
    {
        _time = settings.Time;
        _state = settings.StateDirectory is { } directory ? new StateDirectory(directory) : null;
        string serial = NodeIdentity.FromName(settings.Name).Serial;
        _certificate = _state is null ? BmcCertificate.Create(serial, _time) : BmcCertificate.LoadOrCreate(_state.CertificatePath, serial, _time);

        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        logging(builder.Logging);
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(options => Listen(options, settings.Listen));
        _app = builder.Build();
        _parts = new SimulatorParts(settings, _app.Lifetime, _app.Services.GetRequiredService<ILoggerFactory>());
        _control = new SimulatorControl(_parts, ChangeCertificate, _connections.CutAll);
        var controlApi = new ControlApi(_parts, _control, DescribeState);
        // Streams and stalled requests would hold an orderly stop up.
        _app.Lifetime.ApplicationStopping.Register(_connections.CutAll);
        _app.Run(context => IsControl(context) ? controlApi.HandleAsync(context) : _parts.Service.HandleAsync(context));
    }

    /// <summary>https://ADDRESS:PORT, where it listens.</summary>
    public Uri BaseAddress { get; private set; } = new("https://0.0.0.0");

    /// <summary>SHA-256 of the certificate in use, lower case hexadecimal.</summary>
    public string Fingerprint => BmcCertificate.Fingerprint(_certificate);

    public NodeIdentity Identity => _parts.Identity;

    /// <summary>On, Off, PoweringOn or PoweringOff.</summary>
    public string PowerState => _parts.Power.State;

    /// <summary>URIs of the sessions that are open now.</summary>
    public IReadOnlyList<string> Sessions => [.. _parts.Sessions.List().Select(session => $"{_parts.Layout.Sessions}/{session.Id}")];

    /// <summary>The most sessions that were open at once.</summary>
    public int SessionPeak => _parts.Sessions.Peak;

    /// <summary>The push subscriptions, as resources.</summary>
    public IReadOnlyList<JsonObject> Subscriptions => [.. _parts.Subscriptions.List().Select(subscription => subscription.Show(_parts.Subscriptions.Uri(subscription)))];

    public RequestReport Requests => _parts.Requests.Report();

    /// <summary>Starts a BMC and returns when it listens.</summary>
    /// <exception cref="InvalidDataException">The mock-up directory is none.</exception>
    /// <exception cref="IOException">The address is in use, or the state directory cannot be written.</exception>
    public static Task<BmcSimulatorHost> StartAsync(BmcSimulatorSettings settings, CancellationToken token = default) => StartAsync(settings, _ => { }, token);

    internal static async Task<BmcSimulatorHost> StartAsync(BmcSimulatorSettings settings, Action<ILoggingBuilder> logging, CancellationToken token)
    {
        var host = new BmcSimulatorHost(settings, logging);
        try
        {
            await host._app.StartAsync(token);
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }

        host.BaseAddress = host.FindAddress();
        host._state?.Announce(host.DescribeState(), host.Fingerprint);
        host._watch = host._parts.Watch.RunAsync(host._parts.Events, host._parts.Layout, host._stop.Token);
        return host;
    }

    /// <summary>Completes when the process is asked to stop.</summary>
    public Task WaitForShutdownAsync() => _app.WaitForShutdownAsync();

    /// <summary>Sends an event to all listeners and into the log; see <c>POST /event</c> of the control interface for the forms.</summary>
    /// <exception cref="FormatException">It is no event.</exception>
    /// <exception cref="KeyNotFoundException">Its Patch names a resource that does not exist.</exception>
    public void PostEvent(string json) => _control.PostEvent(JsonText.ParseObject(System.Text.Encoding.UTF8.GetBytes(json)));

    /// <summary>Merges properties into a resource.</summary>
    /// <exception cref="KeyNotFoundException">There is no such resource.</exception>
    public void Patch(string uri, string json) => _control.Patch(uri, JsonText.ParseObject(System.Text.Encoding.UTF8.GetBytes(json)));

    /// <summary>The resource answers 404 from now on, though links to it remain.</summary>
    public void Remove(string uri) => _parts.Patches.Remove(ResourceUri.Normalise(uri));

    /// <summary>A resource as a client would see it, or null.</summary>
    public JsonObject? Read(string uri) => _parts.Model.ReadObject(ResourceUri.Normalise(uri));

    public void AddFault(Fault fault) => _control.AddFault(fault);

    public void ClearFaults() => _parts.Faults.Clear();

    public void ResetRequests() => _parts.Requests.Reset();

    /// <summary>Ends every session.</summary>
    public void DropSessions() => _parts.Sessions.CloseAll();

    /// <summary>Looks at the machine now instead of at the next turn of the watch.</summary>
    public void CheckPower() => _parts.Watch.Check(_parts.Events, _parts.Layout);

    /// <summary>Completes when no power command runs any more.</summary>
    public Task WhenPowerSettledAsync() => _parts.Power.WhenSettledAsync();

    /// <summary>Completes when exactly so many event streams are open.</summary>
    public Task WhenStreamsAreAsync(int count, CancellationToken token) => _parts.Streams.WhenCountIsAsync(count, token);

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 1)
        {
            return;
        }

        await _stop.CancelAsync();
        await _watch;
        await _app.StopAsync();
        await _app.DisposeAsync();
        await _parts.DisposeAsync();
        _state?.Withdraw();
        _certificate.Dispose();
        _stop.Dispose();
    }

    private void Listen(KestrelServerOptions options, IPEndPoint endPoint)
    {
        options.AddServerHeader = false;
        options.Listen(endPoint, listen =>
        {
            listen.Protocols = HttpProtocols.Http1; // As BMCs do.
            listen.Use(next => connection => _connections.TrackAsync(connection, next));
            listen.UseHttps(https => https.ServerCertificateSelector = (_, _) => _certificate);
        });
        if (_state is not null)
        {
            _state.RemoveSocket();
            options.ListenUnixSocket(_state.SocketPath, listen => listen.Use(next => connection =>
            {
                connection.Items[ControlMark] = true;
                return next(connection);
            }));
        }
    }

    private static bool IsControl(HttpContext context) => context.Features.Get<IConnectionItemsFeature>()?.Items.ContainsKey(ControlMark) == true;

    private void ChangeCertificate()
    {
        _certificate = BmcCertificate.Create(Identity.Serial, _time);
        _connections.CutAll();
        if (_state is not null)
        {
            BmcCertificate.Save(_certificate, _state.CertificatePath);
            _state.Announce(DescribeState(), Fingerprint);
        }
    }

    private JsonObject DescribeState() => new()
    {
        ["name"] = Identity.Name,
        ["uuid"] = Identity.Uuid.ToString(),
        ["serial"] = Identity.Serial,
        ["address"] = BaseAddress.ToString().TrimEnd('/'),
        ["fingerprint"] = Fingerprint,
        ["power"] = PowerState,
    };

    private Uri FindAddress() =>
        new(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First(address => address.StartsWith("https:", StringComparison.Ordinal)));
}
