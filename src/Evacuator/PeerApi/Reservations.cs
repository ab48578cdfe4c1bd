using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Homecoming;
using Evacuator.Placement;

namespace Evacuator.PeerApi;

/// <summary>
/// Containers that other nodes want to send here. The agent checks and reserves; this only makes the one-time token and remembers it for a while, so that a
/// repeated request gets the same answer.
/// </summary>
internal sealed class Reservations(AgentClient agent, EvacuationService evacuations, Admission admission, GuestBook guests, IFleetRegister register, BrainTimings timings, TimeProvider time)
{
    private const int TokenBytes = 32;

    /// <summary>More than any fleet sends at once; a peer that asks for more is broken.</summary>
    private const int MaxOpen = 512;

    private readonly ConcurrentDictionary<(string Node, Guid MoveId), Entry> _open = new();

    public async Task<ReservationReply> ReserveAsync(string node, ReservationRequest request, CancellationToken token)
    {
        if (WhyClosed() is { } reason)
            return Refuse(BlockerCode.AdmissionClosed, reason);
        DropExpired();
        if (_open.TryGetValue((node, request.MoveId), out Entry? known) && known.ContainerName == request.Container.Name)
            return new ReservationReply(true, known.Token, []);
        if (_open.Count >= MaxOpen)
            return Refuse(BlockerCode.Reserved, $"{MaxOpen} reservations are open here already");

        if (await WhyNotSpreadAsync(request.Container, token).ConfigureAwait(false) is { } together)
            return together;

        string secret = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(TokenBytes));
        try
        {
            InboundReply reply = await agent.AnnounceAsync(new InboundRequest
            {
                MoveId = request.MoveId,
                Token = secret,
                SourceNode = node,
                Container = request.Container,
                LeaseSeconds = (int)timings.ReservationLease.TotalSeconds,
            }, token).ConfigureAwait(false);
            if (!reply.Accepted)
                return new ReservationReply(false, null, reply.Blockers);
            guests.Announced(request.Container.Name, NodeName.IsValid(request.Home ?? "") ? request.Home! : node, node, request.MoveId);
            _open[(node, request.MoveId)] = new Entry(secret, request.Container.Name, new Patience(timings.ReservationLease, time));
            register.Ring();
            return new ReservationReply(true, secret, []);
        }
        catch (AgentException e)
        {
            return e.Blockers.Count > 0 ? new ReservationReply(false, null, e.Blockers) : Refuse(BlockerCode.PeerUnreachable, e.Message);
        }
    }

    /// <summary>Null if the agent knows no such move of that node.</summary>
    /// <exception cref="AgentException">it does not answer</exception>
    public async Task<InboundReport?> FindAsync(string node, Guid moveId, CancellationToken token) =>
        (await agent.GetInboundAsync(token).ConfigureAwait(false)).FirstOrDefault(inbound => inbound.MoveId == moveId && inbound.Source == node);

    /// <summary>False when the move is past the point where it can be forgotten.</summary>
    /// <exception cref="AgentException">it does not answer</exception>
    public async Task<bool> ForgetAsync(string node, Guid moveId, CancellationToken token)
    {
        // Only the node that asked may take it back; the agent's own list tells whose it is after a restart of this service.
        if (!_open.TryRemove((node, moveId), out _) && await FindAsync(node, moveId, token).ConfigureAwait(false) is null)
            return true;
        try
        {
            await agent.ForgetInboundAsync(moveId, token).ConfigureAwait(false);
            return true;
        }
        catch (AgentException e) when (e.Status == HttpStatusCode.NotFound)
        {
            return true;
        }
        catch (AgentException e) when (e.Status == HttpStatusCode.Conflict)
        {
            return false;
        }
    }

    /// <summary>Why this node takes nothing; null when it does.</summary>
    public string? WhyClosed()
    {
        if (evacuations.Active is { } active)
            return $"is being emptied itself since {active.State.Started:u}: {active.State.Trigger.Reason}";
        return admission.Closed is { } closed ? $"takes no containers since {closed.Since:u} ({closed.Reason}) until \"evacuator reopen\" there" : null;
    }

    /// <summary>The planner knew what ran here when it asked; two nodes that are emptied at once could bring two members of a group together.</summary>
    private async Task<ReservationReply?> WhyNotSpreadAsync(ContainerReport container, CancellationToken token)
    {
        if (ContainerPolicy.Of(container).Spread is not { } group)
            return null;
        try
        {
            ContainerReport? member = (await agent.GetContainersAsync(token).ConfigureAwait(false)).FirstOrDefault(other => ContainerPolicy.Of(other).Spread == group);
            return member is null ? null : Refuse(BlockerCode.SpreadRule, $"{member.Name} of the group {group} (evacuator.spread) runs here already");
        }
        catch (AgentException e)
        {
            return Refuse(BlockerCode.PeerUnreachable, e.Message);
        }
    }

    private static ReservationReply Refuse(BlockerCode code, string text) => new(false, null, [new Blocker(code, text)]);

    private void DropExpired()
    {
        foreach (KeyValuePair<(string, Guid), Entry> entry in _open)
        {
            if (entry.Value.Lease.IsOver)
                _open.TryRemove(entry);
        }
    }

    private sealed record Entry(string Token, string ContainerName, Patience Lease);
}
