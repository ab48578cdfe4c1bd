using System.Reflection;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Common.Hosting;
using Evacuator.NodeAgent.Api;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Host;
using Evacuator.NodeAgent.Hosting;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Memory.Mappings;
using Evacuator.NodeAgent.Migration;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Transfer;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

// evacuator-agent: acts on this host's containers for its own brain, and receives containers from other agents.
// 1. configuration and certificates, all mistakes at once; 2. journal; 3. services; 4. the two listeners; 5. run.

// 1.
ConfigurationResult configuration = ConfigurationLoader.Load(args is [var file] ? file : ConfigurationLoader.DefaultFile);
List<ConfigurationMistake> mistakes = [.. configuration.Mistakes];
FleetTls? tls = null;
if (configuration.Options is { } options)
{
    Checked<FleetMembers> members = FleetMembers.Load(options);
    mistakes.AddRange(members.Mistakes);
    if (members.Value is { } known)
    {
        Checked<FleetTls> loaded = FleetTls.Load(options, FleetRole.Agent, known.Peers, TimeProvider.System, known.Roster);
        mistakes.AddRange(loaded.Mistakes);
        tls = loaded.Value;
    }
}
else
{
    options = new EvacuatorOptions();
}
if (mistakes.Count > 0 || tls is null)
    return StartupFailure.Report("evacuator-agent", mistakes);

// 2.
AgentPaths paths = new();
Directory.CreateDirectory(Path.Combine(paths.Runtime, "moves"));
using MoveJournal journal = MoveJournal.Open(paths.State, paths.Runtime);
string version = Assembly.GetExecutingAssembly().GetName().Version!.ToString(3);
CriuPreloads preloads = await CriuPreloads.ProbeAsync(paths.Gate, paths.Quick, CancellationToken.None);
MemoryFeatures memory = MemoryFeatures.Probe();
using MappingFlags? mappingFlags = MappingFlags.TryOpen(out string whyNoFlags);
string bootId = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

// 3.
WebApplicationBuilder builder = ServiceHosting.CreateBuilder();
builder.AddServiceHosting(options);
builder.Services
    .AddSingleton(tls)
    .AddSingleton(ProtocolVersions.Agents)
    .AddSingleton<IMemoryPoolFactory<byte>>(new LargeBlocks())
    .AddSingleton<AgentFleet>()
    .AddHostedService<FleetRefresh>()
    .AddSingleton(journal)
    .AddSingleton(provider => new NetworkHandover(provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<NetworkHandover>>()))
    .AddSingleton(provider => new RuncRuntime(options.Containers.RuncRoot, provider.GetRequiredService<NetworkHandover>(),
        provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<RuncRuntime>>()))
    .AddSingleton(new Preflight())
    .AddSingleton(provider => new CgroupFreezer(provider.GetRequiredService<TimeProvider>()))
    .AddSingleton(provider => new HostProbe(options.Node.Name, version, ProtocolVersions.Agents.Current, "/srv", paths.Runtime, provider.GetRequiredService<TimeProvider>()))
    .AddSingleton(provider => new EmptinessProof(new EmptinessOptions { Uplinks = options.Node.Uplinks }, provider.GetRequiredService<TimeProvider>()))
    .AddSingleton(provider =>
    {
        TimeProvider time = provider.GetRequiredService<TimeProvider>();
        DumpTrial trial = new(paths, owned => CriuEnvironment.For(paths, preloads, gate: null, owned), time);
        return new DumpLadder(options.Move.Dump, memory.WhyNot, trial.RunAsync, paths.Shim, [.. DumpLadder.CriuPlaces, paths.Shim, paths.TrialProgram], time,
            provider.GetRequiredService<ILogger<DumpLadder>>());
    })
    .AddSingleton(provider => new Wire(provider.GetRequiredService<TimeProvider>()))
    .AddSingleton(provider => new PeerClientFactory(tls, options.Fleet.AgentPort, provider.GetRequiredService<Wire>()))
    .AddSingleton(provider => new MoveTools(
        provider.GetRequiredService<RuncRuntime>(), provider.GetRequiredService<Preflight>(), provider.GetRequiredService<NetworkHandover>(),
        provider.GetRequiredService<CgroupFreezer>(), journal, paths, new FaultPoints(paths.FaultPoint, provider.GetRequiredService<TimeProvider>()),
        provider.GetRequiredService<TimeProvider>()) 
        {
            BootId = bootId,
            RuncRoot = options.Containers.RuncRoot,
            Memory = memory,
            MappingFlags = mappingFlags,
            LeastSpeedPercent = options.Move.LeastSpeedPercent,
            Compress = options.Move.Compress == CompressRule.Auto,
            Bandwidth = new Bandwidth((long)options.Move.BandwidthMebibytes << 20, provider.GetRequiredService<TimeProvider>()),
            Wire = provider.GetRequiredService<Wire>(),
            MemoryStreams = options.Move.MemoryStreamsFor(Environment.ProcessorCount),
            Preloads = preloads,
            Dumps = provider.GetRequiredService<DumpLadder>(),
            Experience = new FreezeExperience(Path.Combine(paths.State, "freeze-model.json")),
            Systemd = provider.GetRequiredService<SystemdNotify>(),
            Descriptors = new DescriptorStore(provider.GetRequiredService<SystemdNotify>()),
        })
    .AddHeartbeat<MoveRegistry>(TimeSpan.FromSeconds(60))
    .AddSingleton<MoveRegistry>()
    .AddHostedService(provider => provider.GetRequiredService<MoveRegistry>())
    .AddHostedService<CodePreparation>();

// 4.
builder.WebHost.ListenOnUnixSocket(AgentRoutes.SocketPath, new UnixSocketAccess
{
    Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite,
    Group = Accounts.Service,
    WhyNot = UnixSocketAccess.OnlyRootAnd(Accounts.Service),
});
builder.WebHost.ConfigureKestrel(kestrel =>
{
    kestrel.ListenAnyIP(options.Fleet.AgentPort, tls.UseOn);
    kestrel.Limits.MaxRequestBodySize = PeerProtocol.MaxJson;
    kestrel.Limits.MinRequestBodyDataRate = null;
    kestrel.AddServerHeader = false;
});
builder.Services.ConfigureHttpJsonOptions(json =>
{
    foreach (System.Text.Json.Serialization.JsonConverter converter in ApiJson.Options.Converters)
        json.SerializerOptions.Converters.Add(converter);
});
WebApplication app = builder.Build();
app.MapAgentEndpoints();
app.MapPeerEndpoints(options.Fleet.AgentPort);

// 5.
app.Services.GetRequiredService<AgentFleet>().Complete();
if (journal.Degraded is { } degraded)
    app.Logger.LogWarning("{Degraded}", degraded);
journal.OnDegraded = text => app.Logger.LogError("{Degraded}", text);
if (!preloads.Gate || !preloads.Quick)
    app.Logger.LogWarning("CRIU cannot be held below runc ({Gate}) or spared its children ({Quick}): freezes are longer than they need be", preloads.Gate, preloads.Quick);
if (mappingFlags is null)
    app.Logger.LogWarning("mappings' flags are read from smaps ({Reason}): freezes of containers with much memory are longer than they need be, about 9 ms for each GiB", whyNoFlags);
CriuConfiguration.Write(paths.CriuHome, canSkipNetworkLock: await CriuVersion.IsAtLeastAsync(4, 2));
return await app.RunServiceAsync($"node {options.Node.Name}, ready for moves");
