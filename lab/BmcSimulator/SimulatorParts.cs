using Evacuator.Lab.BmcSimulator.Control;
using Evacuator.Lab.BmcSimulator.Events;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Lab.BmcSimulator.Http;
using Evacuator.Lab.BmcSimulator.Led;
using Evacuator.Lab.BmcSimulator.Model;
using Evacuator.Lab.BmcSimulator.Power;
using Evacuator.Lab.BmcSimulator.Sessions;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Lab.BmcSimulator;

/// <summary>All parts of one BMC, put together once.</summary>
internal sealed class SimulatorParts : IAsyncDisposable
{
    private const string ModelFileName = "model.json";

    private readonly ModelFile? _file;

    public SimulatorParts(BmcSimulatorSettings settings, IHostApplicationLifetime lifetime, ILoggerFactory logs)
    {
        TimeProvider time = settings.Time;
        Identity = NodeIdentity.FromName(settings.Name);
        ResourceTree tree = settings.Tree is { } directory ? ResourceTree.FromDirectory(directory) : ResourceTree.Shipped(Identity, settings.User);
        Layout = ServiceLayout.Discover(tree);

        Faults = new FaultMenu(time);
        Patches = new PatchStore(MarkDirty);
        Log = new EventLog(settings.LogLimit, MarkDirty, time);
        Sessions = new SessionTable(settings.SessionLimit, SessionTimeout, time);
        Subscriptions = new SubscriptionTable(settings.SubscriptionLimit, Layout, MarkDirty);
        Streams = new SseBroadcast();
        Push = new PushDelivery(Subscriptions, () => RetryRule(settings.RetryInterval), Faults, time, logs.CreateLogger<PushDelivery>());
        Events = new EventHub(Log, Streams, Push, time);
        Power = new NodePower(settings.Machine, time, logs.CreateLogger<NodePower>());
        Watch = new PowerWatch(Power, time);

        var sessionOverlay = new SessionOverlay(Layout, Sessions);
        var logOverlay = new EventLogOverlay(Layout, tree, Log, settings.LogPageSize);
        Model = new ServiceModel(tree, Layout, Patches,
        [
            sessionOverlay, Subscriptions, logOverlay, new ManagerClockOverlay(Layout, time),
            new PowerOverlay(Layout, () => Faults.StalePower ?? Power.State, Watch), Patches, new HealthRollupOverlay(Layout, Patches),
        ]);
        Led = new IndicatorLed(Layout, Model.ReadObject, Patches);
        var authenticator = new Authenticator(settings.User, settings.Password, Sessions);
        Service = new RedfishService(Layout,
        [
            new SessionHandler(Layout, Sessions, sessionOverlay, authenticator, Faults),
            new SubscriptionHandler(Layout, Subscriptions, Model.ReadObject),
            new SseHandler(Layout, Streams, Faults, lifetime),
            new TestEventHandler(Layout, Events),
            new EventLogHandler(Layout, Log),
            new ResetHandler(Layout, Power, Faults),
            new PatchHandler(Model, Patches, Led, Events, Faults),
            new ReadHandler(Model, logOverlay, Faults),
        ], authenticator, Sessions, Requests, Faults, time);

        if (settings.StateDirectory is { } state)
        {
            string path = Path.Combine(state, ModelFileName);
            if (ModelFile.Load(path) is { } saved)
            {
                Patches.Load(saved.Get("Model"));
                Log.Load(saved.Get("Log"));
                Subscriptions.Load(saved.Get("Subscriptions"));
            }

            _file = new ModelFile(path, () => new JsonObject { ["Model"] = Patches.Save(), ["Log"] = Log.Save(), ["Subscriptions"] = Subscriptions.Save() });
        }
    }

    public NodeIdentity Identity { get; }

    public ServiceLayout Layout { get; }

    public FaultMenu Faults { get; }

    public PatchStore Patches { get; }

    public EventLog Log { get; }

    public SessionTable Sessions { get; }

    public SubscriptionTable Subscriptions { get; }

    public SseBroadcast Streams { get; }

    public PushDelivery Push { get; }

    public EventHub Events { get; }

    public NodePower Power { get; }

    public PowerWatch Watch { get; }

    public ServiceModel Model { get; }

    public IndicatorLed Led { get; }

    public RequestCounts Requests { get; } = new();

    public RedfishService Service { get; }

    public async ValueTask DisposeAsync()
    {
        await Push.DisposeAsync();
        await Power.DisposeAsync();
        if (_file is not null)
        {
            await _file.DisposeAsync();
        }
    }

    private void MarkDirty() => _file?.MarkDirty();

    private TimeSpan SessionTimeout()
    {
        double seconds = Layout.SessionService is { } uri && Model.ReadObject(uri).Get("SessionTimeout").Number() is { } given && given >= 30 ? given : 1800;
        return TimeSpan.FromSeconds(seconds);
    }

    private RetryRule RetryRule(TimeSpan? interval)
    {
        JsonObject? service = Layout.EventService is { } uri ? Model.ReadObject(uri) : null;
        return new RetryRule(
            (int)(service.Get("DeliveryRetryAttempts").Number() ?? 3),
            interval ?? TimeSpan.FromSeconds(service.Get("DeliveryRetryIntervalSeconds").Number() ?? 30));
    }
}
