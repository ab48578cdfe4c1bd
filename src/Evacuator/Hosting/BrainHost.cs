using Evacuator.Agent;
using Evacuator.Api;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Common.Hosting;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Fleet.Etcd;
using Evacuator.Fleet.Locks;
using Evacuator.Fleet.Membership;
using Evacuator.Health;
using Evacuator.Homecoming;
using Evacuator.Journal;
using Evacuator.Notices;
using Evacuator.PeerApi;
using Evacuator.Power;
using Evacuator.Windows;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Hosting;

/// <summary>Puts the brain together: one process, two listeners (operators on the unix socket, peers over mutual TLS), several loops.</summary>
internal static class BrainHost
{
    /// <summary>A witness request carries the report of every container; 4 MiB are thousands of them.</summary>
    private const long MaxBodyBytes = 4 << 20;

    private const int MaxConnections = 256;

    public static WebApplication Build(BrainSetup setup)
    {
        WebApplicationBuilder builder = ServiceHosting.CreateBuilder();
        builder.AddServiceHosting(setup.Options);
        setup.Logging?.Invoke(builder.Logging);
        if (setup.Clock is { } clock)
            builder.Services.AddSingleton(clock);
        AddParts(builder.Services, setup);
        Listen(builder.WebHost, setup);
        builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.RespectRequiredConstructorParameters = true);
        builder.Services.Configure<RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = true);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(10));

        WebApplication app = builder.Build();
        app.UseMistakeExplanation();
        // A caller's kernel credentials are there on the unix socket only: no peer ever reaches an operator's route, nor the other way round.
        app.MapWhen(context => context.PeerCredentials() is not null, operators => operators.UseRouting().UseEndpoints(ApiEndpoints.Map));
        app.MapWhen(context => context.PeerCredentials() is null, peers => peers.Use(PeerEndpoints.CheckVersionAsync).UseRouting().UseEndpoints(PeerEndpoints.Map));
        LogNotices(app, setup);
        return app;
    }

    private static void AddParts(IServiceCollection services, BrainSetup setup)
    {
        services.AddSingleton(setup.Configuration);
        services.AddSingleton(setup.Journal);
        services.AddSingleton(setup.Timings);
        services.AddSingleton(setup.BootId);
        services.AddSingleton(_ => new AgentClient(setup.AgentSocketPath));
        services.AddSingleton(provider => new PeerDirectory(
            setup.Peers.Where(peer => peer.Name != setup.Options.Node.Name)
                .Select(Connect),
            provider.GetRequiredService<TimeProvider>(), setup.Options.Move.AvoidWindow, Connect));
        services.AddSingleton(new OwnBmc(setup.Options.Bmc, setup.BmcPassword ?? (() => Secrets.BmcPassword(setup.Options))));
        services.AddSingleton(provider => setup.Bmcs(provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(setup.Signals);
        services.AddSingleton(setup.Rules);
        services.AddSingleton(setup.Tls);
        services.AddSingleton(setup);
        services.AddSingleton(setup.Protocol);
        services.AddSingleton<BmcHealth>();
        services.AddSingleton<CircuitBreaker>();
        services.AddSingleton(new WitnessSecrets(setup.RuntimeDirectory));
        services.AddSingleton<Admission>();
        services.AddSingleton<GuestBook>();
        services.AddSingleton<NoticeHooks>();
        services.AddSingleton<NoticeBook>();
        services.AddSingleton(setup.SystemJournal);
        services.AddSingleton<WindowBook>();
        services.AddSingleton<DrainEstimate>();
        services.AddSingleton<FleetLockBook>();
        AddFleetStore(services, setup);
        services.AddSingleton<DepartureBoard>();
        services.AddSingleton<HomecomingPlans>();
        services.AddSingleton<PowerHandover>();
        services.AddSingleton<RunServices>();
        services.AddSingleton<GonePeer>();
        services.AddSingleton<Reservations>();
        services.AddSingleton<StatusBuilder>();
        services.AddHeartbeat<NodeWatch>(TimeSpan.FromMinutes(3));

        AddLoop<EvacuationService>(services);
        AddLoop<WitnessService>(services);
        AddLoop<NodeWatch>(services);
        AddLoop<PushReceiver>(services);
        AddLoop<SignalWatch>(services);
        AddLoop<DepartureService>(services);
        AddLoop<HomecomingService>(services);
        AddLoop<ReturnAfterCancel>(services);
        services.AddSingleton<RehearsalBoard>();
        AddLoop<RehearsalService>(services);
        AddLoop<SoakWatch>(services);
        AddLoop<NoticeService>(services);
        AddLoop<WindowService>(services);
        AddLoop<JournalCopies>(services);
        AddLoop<FleetLockKeeper>(services);
        services.AddSingleton<Leaving>();
        AddLoop<FleetMembership>(services);
        services.AddHostedService<FleetRefresh>();
        services.AddSingleton<IProgressCheck>(provider => provider.GetRequiredService<EvacuationService>());

        PeerClient Connect(Peer peer) => new(peer, setup.Options.Fleet.BrainPort, setup.Tls.HttpHandlerFor(peer.Name), setup.Timings.PeerAnswer, setup.Protocol);
    }

    /// <summary>What all nodes have to agree on: in etcd, or asked of each other.</summary>
    private static void AddFleetStore(IServiceCollection services, BrainSetup setup)
    {
        if (setup.EtcdTls is not { } tls)
        {
            services.AddSingleton<IFleetLock, StaticFleetLock>();
            services.AddSingleton<IFleetRegister, NoFleetRegister>();
            return;
        }

        FleetOptions fleet = setup.Options.Fleet;
        services.AddSingleton(provider => new EtcdClient(fleet.EtcdEndpoints, tls.Handler(), setup.Timings.EtcdLimit, provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(provider => new EtcdSession(provider.GetRequiredService<EtcdClient>(), setup.Timings.EtcdLease, provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(provider => new EtcdFleet(
            provider.GetRequiredService<EtcdClient>(), provider.GetRequiredService<EtcdSession>(), new EtcdKeys(fleet.EtcdPrefix), setup.Options.Node.Name,
            () => [setup.Options.Node.Name, .. provider.GetRequiredService<PeerDirectory>().Names]));
        services.AddSingleton<IFleetLock, EtcdFleetLock>();
        services.AddSingleton<EtcdRegister>();
        services.AddSingleton<IFleetRegister>(provider => provider.GetRequiredService<EtcdRegister>());
        AddLoop<EtcdMembership>(services);
        AddLoop<EtcdRegisterLoop>(services);
    }

    /// <summary>A loop that others can ask as well.</summary>
    private static void AddLoop<T>(IServiceCollection services) where T : BackgroundService
    {
        services.AddSingleton<T>();
        services.AddHostedService(provider => provider.GetRequiredService<T>());
    }

    private static void Listen(IWebHostBuilder web, BrainSetup setup)
    {
        web.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = MaxBodyBytes;
            kestrel.Limits.MaxConcurrentConnections = MaxConnections;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            if (setup.ListenAddress is { } address)
                kestrel.Listen(address, setup.Options.Fleet.BrainPort, Secure);
            else
                kestrel.ListenAnyIP(setup.Options.Fleet.BrainPort, Secure);
        });
        web.ListenOnUnixSocket(setup.SocketPath, new UnixSocketAccess
        {
            Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite,
            Group = setup.SocketGroup,
        });

        void Secure(ListenOptions listen)
        {
            listen.Protocols = HttpProtocols.Http1;
            setup.Tls.UseOn(listen);
        }
    }

    /// <summary>A body that is not what the route takes is answered with what is wrong about it.</summary>
    private static void LogNotices(WebApplication app, BrainSetup setup)
    {
        foreach (string notice in setup.Journal.Notices)
            app.Logger.LogError(new EventId(310), "{Notice}", notice);
        foreach (string notice in app.Services.GetRequiredService<FleetMembership>().Notices())
            app.Logger.LogWarning(new EventId(311), "{Notice}", notice);
    }
}
