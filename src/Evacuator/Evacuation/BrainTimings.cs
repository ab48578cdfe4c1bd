using Evacuator.Common.Configuration;

namespace Evacuator.Evacuation;

/// <summary>How often and how long the brain does what no setting decides, but for the first of them.</summary>
internal sealed record BrainTimings
{
    /// <summary>Between the two looks that prove the node empty: [evacuation] proof-gap.</summary>
    public TimeSpan ProofGap { get; init; } = new EvacuationOptions().ProofGap;

    /// <summary>Between looks at a move that is under way.</summary>
    public TimeSpan MovePoll { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Before an agent or peer that did not answer is asked again.</summary>
    public TimeSpan Retry { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long what a removed container leaves behind (its netns, its mounts) may take to go away.</summary>
    public TimeSpan ProofPatience { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a rebooted node tries to hear from its witness.</summary>
    public TimeSpan WitnessPatience { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Between looks at a peer for "evacuator status".</summary>
    public TimeSpan PeerPoll { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How long a peer may take to say what room it has: one that is slower is left out.</summary>
    public TimeSpan PeerAnswer { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Between looks at the own agent, to keep admission closed where it has to be.</summary>
    public TimeSpan AgentPoll { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a node that sends a container home may be silent before its part counts as unknown.</summary>
    public TimeSpan SourcePatience { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>How long a destination that does not answer is asked again where there is no other.</summary>
    public TimeSpan BoundPatience { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long a home that is to fetch a container may be busy or away.</summary>
    public TimeSpan InvitationPatience { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Between looks at whether a closed node may reopen.</summary>
    public TimeSpan SoakPoll { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Between judgements of the same signals: time confirms, cools down, and gives the fleet room again.</summary>
    public TimeSpan SignalRecheck { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Between questions to a peer that would empty itself at the same time.</summary>
    public TimeSpan BreakerPoll { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How long it is waited for such a peer; then it counts as out.</summary>
    public TimeSpan BreakerPatience { get; init; } = TimeSpan.FromSeconds(45);

    /// <summary>How old a list of containers may be that is told to peers: short, since a name that has just left counts as taken as long as it is in the list.</summary>
    public TimeSpan RecentContainers { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>After how long a released container that stands still, because its destination does not answer, is a matter for a person.</summary>
    public TimeSpan StandsStill { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Between looks at what should be told, and at hooks that have not taken it.</summary>
    public TimeSpan NoticePoll { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Before a hook that failed is tried again; four times as long each time.</summary>
    public TimeSpan NoticeRetry { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Between looks at whether the copy of a journal that is in memory is out of date.</summary>
    public TimeSpan CopyPoll { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Between looks at the maintenance windows.</summary>
    public TimeSpan WindowPoll { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Between two questions for the fleet's lock, and between renewals of it.</summary>
    public TimeSpan LockPoll { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Who asks for the lock and does not repeat it is forgotten after this long.</summary>
    public TimeSpan LockLease { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>For one attempt at one member of etcd.</summary>
    public TimeSpan EtcdLimit { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>What hangs on this node's lease in etcd is gone so long after the node has stopped renewing it.</summary>
    public TimeSpan EtcdLease { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Between renewals of what this node says of itself in etcd.</summary>
    public TimeSpan EtcdPoll { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A reservation is dropped after this long without news of the move.</summary>
    public TimeSpan ReservationLease { get; init; } = TimeSpan.FromMinutes(2);
}
