using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Common.Hosting;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Fleet.Etcd;
using Evacuator.Fleet.Membership;
using Evacuator.Health;
using Evacuator.Journal;
using Evacuator.Power;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Evacuator.Hosting;

/// <summary>"evacuator serve": reads everything, reports all mistakes at once, and only then builds and runs the service.</summary>
internal static class ServeHandler
{
    public static async Task<int> RunAsync(string configurationFile)
    {
        // 1. Configuration, peers, certificates, secrets: all that is wrong, in one report.
        if (Load(configurationFile, out List<ConfigurationMistake> mistakes) is not { } setup)
            return StartupFailure.Report("evacuator", mistakes);

        // 2. What a peer has kept of the journal, if the disk has nothing.
        using FleetTls tls = setup.Tls;
        using JournalStore journal = setup.Journal;
        using EtcdTls? etcd = setup.EtcdTls;
        await TakeBackAsync(setup).ConfigureAwait(false);

        // 3. The service.
        WebApplication app = BrainHost.Build(setup);
        return await app.RunServiceAsync($"{setup.Options.Node.Name}, {setup.Peers.Count - 1} peers").ConfigureAwait(false);
    }

    /// <summary>Bounded by the time limit of the calls, all at once: a node that is new to the fleet has no copy anywhere, and a peer that is away costs its limit once.</summary>
    internal static async Task TakeBackAsync(BrainSetup setup)
    {
        PeerClient[] peers = [.. setup.Peers.Where(peer => peer.Name != setup.Options.Node.Name)
            .Select(peer => new PeerClient(peer, setup.Options.Fleet.BrainPort, setup.Tls.HttpHandlerFor(peer.Name), setup.Timings.PeerAnswer))];
        try
        {
            if (await JournalCopies.TakeBackAsync(setup.Journal, peers, CancellationToken.None).ConfigureAwait(false) is { } holder)
                setup.Journal.Tell($"the journal was empty and is taken back from the copy at {holder}");
        }
        finally
        {
            foreach (PeerClient peer in peers)
                peer.Dispose();
        }
    }

    /// <summary>Null if anything is wrong; then everything that is wrong is in <paramref name="mistakes"/>.</summary>
    public static BrainSetup? Load(string configurationFile, out List<ConfigurationMistake> mistakes)
    {
        mistakes = [];
        ConfigurationResult configuration = ConfigurationLoader.Load(configurationFile);
        mistakes.AddRange(configuration.Mistakes);
        if (configuration.Options is not { } options)
            return null;

        Checked<SignalRules> rules = SignalRulesReader.Read(configuration.Rules);
        mistakes.AddRange(rules.Mistakes);
        mistakes.AddRange(RehearsalSchedule.Mistakes(configuration, configurationFile, TimeProvider.System.GetUtcNow()));
        Checked<FleetMembers> members = FleetMembers.Load(options);
        mistakes.AddRange(members.Mistakes);
        // Without peers the certificates are looked at all the same, with this node alone: both reports come at once.
        Checked<FleetTls> tls = FleetTls.Load(options, FleetRole.Brain, members.Value?.Peers ?? [new Peer(options.Node.Name, "localhost")], TimeProvider.System, members.Value?.Roster);
        mistakes.AddRange(tls.Mistakes);
        Checked<EtcdTls>? etcd = options.Fleet.Store == FleetStore.Etcd ? EtcdTls.Load(options.Fleet) : null;
        mistakes.AddRange(etcd?.Mistakes ?? []);
        mistakes.AddRange(Secrets.BmcPassword(options).Mistakes);

        string state = Environment.GetEnvironmentVariable("STATE_DIRECTORY") ?? "/var/lib/evacuator";
        string runtime = Environment.GetEnvironmentVariable("RUNTIME_DIRECTORY") ?? "/run/evacuator";
        JournalStore? journal = null;
        if (mistakes.Count == 0)
        {
            try
            {
                journal = JournalLocation.Open(state, runtime);
            }
            catch (JournalException e)
            {
                mistakes.Add(new ConfigurationMistake(state, 0, e.Message));
            }
        }

        if (mistakes.Count > 0)
        {
            tls.Value?.Dispose();
            etcd?.Value?.Dispose();
            return null;
        }

        FleetMembership.Restore(tls.Value!, journal!);
        return new BrainSetup
        {
            Configuration = configuration,
            Options = options,
            Peers = tls.Value!.Roster is { Roster.Nodes: { Count: > 0 } nodes } ? nodes : members.Value!.Peers,
            Tls = tls.Value!,
            EtcdTls = etcd?.Value,
            Journal = journal!,
            Bmcs = time => new RedfishBmcs(journal!.IsFallback ? runtime : state, time, new Random()),
            Signals = services => new RedfishSignalSource(
                services.GetRequiredService<OwnBmc>(), (RedfishBmcs)services.GetRequiredService<IBmcs>(), options, services.GetRequiredService<PushReceiver>(),
                services.GetRequiredService<TimeProvider>(), new Random()),
            Rules = rules.Value!,
            RuntimeDirectory = runtime,
            BootId = BootId.Find(runtime),
            SocketPath = Path.Combine(runtime, Path.GetFileName(Api.ApiRoutes.SocketPath)),
            Timings = new BrainTimings { ProofGap = options.Evacuation.ProofGap },
            SocketGroup = Accounts.GroupId(Accounts.Service) is null ? null : Accounts.Service,
        };
    }
}
