using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Hosting;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Hosting;

/// <summary>
/// Looks at the own agent and the peers now and then: for "evacuator status", and so that an agent that was restarted keeps admission closed where
/// the journal says so.
/// </summary>
internal sealed partial class NodeWatch(
    AgentClient agent, PeerDirectory peers, Admission admission, BrainTimings timings, TimeProvider time, Heartbeat<NodeWatch> heartbeat, ILogger<NodeWatch> log) : BackgroundService
{
    private volatile ContainerList? _recent;
    private volatile AgentView _agentView = new(null, "not asked so far", time.GetUtcNow());

    public AgentView AgentView => _agentView;

    /// <summary>Asks the agent now, for an answer that is not seconds old.</summary>
    public async Task<AgentView> LookAsync(CancellationToken token)
    {
        DateTimeOffset now = time.GetUtcNow();
        try
        {
            _agentView = new AgentView(await agent.GetHostAsync(token).ConfigureAwait(false), "", now);
        }
        catch (AgentException e)
        {
            AgentView before = _agentView;
            _agentView = new AgentView(null, e.Message, before.Host is null && before.Problem.Length > 0 ? before.Since : now);
        }

        return _agentView;
    }

    /// <summary>
    /// The containers as of the last half second: a large fleet asks often, and a listing with its checks costs the agent a walk through /proc. Null if the agent does
    /// not answer.
    /// </summary>
    public async Task<IReadOnlyList<ContainerReport>?> RecentContainersAsync(CancellationToken token)
    {
        ContainerList? recent = _recent;
        if (recent is not null && time.GetUtcNow() - recent.At < timings.RecentContainers)
            return recent.Containers;
        try
        {
            IReadOnlyList<ContainerReport> containers = await agent.GetContainersAsync(token).ConfigureAwait(false);
            _recent = new ContainerList(containers, time.GetUtcNow());
            return containers;
        }
        catch (AgentException)
        {
            return null;
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.WhenAll(WatchAgentAsync(stoppingToken), WatchPeersAsync(stoppingToken)).ConfigureAwait(false);
    }

    private async Task WatchAgentAsync(CancellationToken stop)
    {
        while (true)
        {
            AgentView view = await LookAsync(stop).ConfigureAwait(false);
            if (view.Host is { InboundOpen: true } && admission.Closed is { } closed)
            {
                try
                {
                    if (await admission.RepeatAsync(stop).ConfigureAwait(false))
                        LogClosedAgain(log, closed.Reason);
                }
                catch (AgentException e)
                {
                    LogNotClosed(log, e.Message);
                }
            }

            heartbeat.Beat();
            await Task.Delay(timings.AgentPoll, time, stop).ConfigureAwait(false);
        }
    }

    private async Task WatchPeersAsync(CancellationToken stop)
    {
        while (true)
        {
            await peers.SurveyAsync(stop).ConfigureAwait(false);
            await Task.Delay(timings.PeerPoll, time, stop).ConfigureAwait(false);
        }
    }

    private sealed record ContainerList(IReadOnlyList<ContainerReport> Containers, DateTimeOffset At);

    [LoggerMessage(EventId = 280, Level = LogLevel.Information, Message = "evacuator-agent was open although this node is closed ({Reason}): closed again")]
    private static partial void LogClosedAgain(ILogger logger, string reason);

    [LoggerMessage(EventId = 281, Level = LogLevel.Warning, Message = "evacuator-agent could not be closed again: {Reason}")]
    private static partial void LogNotClosed(ILogger logger, string reason);
}

/// <param name="Host">null while the agent does not answer</param>
/// <param name="Problem">why not; empty when it does</param>
/// <param name="Since">of the problem, or of the answer</param>
internal sealed record AgentView(HostReport? Host, string Problem, DateTimeOffset Since);
