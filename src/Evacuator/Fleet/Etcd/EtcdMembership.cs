using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Health;
using Evacuator.Hosting;
using Evacuator.PeerApi;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Fleet.Etcd;

/// <summary>Says in etcd what this node is and how it is, and learns there where its peers are. Who is a peer is a matter of the peers file alone.</summary>
internal sealed partial class EtcdMembership(
    EtcdFleet fleet, PeerDirectory peers, NodeWatch watch, Reservations reservations, BmcHealth health, BrainSetup setup, BrainTimings timings, TimeProvider time, ILogger<EtcdMembership> log)
    : BackgroundService
{
    private readonly DateTimeOffset _up = time.GetUtcNow();
    private HostRecord? _host;
    private (AliveRecord Record, long Lease, long At)? _alive;
    private long? _learned;
    private bool _answered = true;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            try
            {
                await TellAsync(stoppingToken).ConfigureAwait(false);
                if (_learned is null || time.GetElapsedTime(_learned.Value) > timings.EtcdPoll * 12)
                    await LearnAsync(stoppingToken).ConfigureAwait(false);
                if (!_answered)
                    LogAnswers(log);
                _answered = true;
            }
            catch (EtcdException e)
            {
                if (_answered)
                    LogSilent(log, e.Message);
                _answered = false;
            }

            await Task.Delay(timings.EtcdPoll, time, stoppingToken).ConfigureAwait(false);
        }
    }

    private async Task TellAsync(CancellationToken token)
    {
        AgentView view = await watch.LookAsync(token).ConfigureAwait(false);
        IReadOnlyList<ContainerReport>? containers = view.Host is null ? null : await watch.RecentContainersAsync(token).ConfigureAwait(false);
        if (view.Host is { } host)
        {
            NodeOptions node = setup.Options.Node;
            string address = setup.Peers.FirstOrDefault(peer => peer.Name == node.Name)?.Address ?? "";
            HostRecord now = new(node.Name, address, node.Zone, node.Rack, host.MemoryTotal, host.Cpus, time.GetUtcNow());
            if (_host is null || _host with { Written = now.Written } != now)
            {
                await fleet.Client.PutAsync(fleet.Keys.Host(node.Name), EtcdRecords.Write(now), 0, token).ConfigureAwait(false);
                _host = now;
            }
        }

        await fleet.Session.RenewAsync(token).ConfigureAwait(false);
        string? closed = reservations.WhyClosed() ?? (view.Host is null ? "its evacuator-agent does not answer its brain" : view.Host.InboundOpen ? null : "its agent takes no containers");
        AliveRecord alive = new(fleet.Node, ProgramVersion.Text, ProtocolVersions.Brains.Current, closed, health.Degraded, view.Host?.MemoryAvailable ?? 0, containers?.Count ?? 0, _up);
        long lease = await fleet.Session.LeaseAsync(token).ConfigureAwait(false);
        // Free memory changes all the time: a thousand nodes need not write that every few seconds.
        if (_alive is { } told && told.Lease == lease && told.Record with { MemoryAvailable = alive.MemoryAvailable } == alive && time.GetElapsedTime(told.At) < timings.EtcdPoll * 12)
            return;
        try
        {
            await fleet.Client.PutAsync(fleet.Keys.IsAlive(fleet.Node), EtcdRecords.Write(alive), lease, token).ConfigureAwait(false);
            _alive = (alive, lease, time.GetTimestamp());
        }
        catch (EtcdException e) when (e.IsCertain)
        {
            // The lease has ended, after a long pause of this process or of etcd: the next round gets another.
            fleet.Session.Lost();
            throw;
        }
    }

    /// <summary>A peer that has got another address says so here first. Its certificate still has to be its own.</summary>
    private async Task LearnAsync(CancellationToken token)
    {
        _learned = time.GetTimestamp();
        foreach (HostRecord host in await fleet.HostsAsync(token).ConfigureAwait(false))
        {
            if (PeersFile.IsAddress(host.Address) && peers.Move(host.Node, host.Address) is { } before)
                LogMoved(log, host.Node, host.Address, before);
        }
    }

    [LoggerMessage(EventId = 392, Level = LogLevel.Warning, Message = "etcd does not answer: {Problem}. What is under way goes on; no evacuation that needs the fleet's lock begins")]
    private static partial void LogSilent(ILogger logger, string problem);

    [LoggerMessage(EventId = 393, Level = LogLevel.Information, Message = "etcd answers again")]
    private static partial void LogAnswers(ILogger logger);

    [LoggerMessage(EventId = 394, Level = LogLevel.Information, Message = "{Node} is at {Address} now, it was at {Before}: correct the peers file")]
    private static partial void LogMoved(ILogger logger, string node, string address, string before);
}
