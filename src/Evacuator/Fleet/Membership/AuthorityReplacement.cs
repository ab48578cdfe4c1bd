using System.Text.Json.Serialization;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;

namespace Evacuator.Fleet.Membership;

/// <summary>Why a node keeps the replacement of the fleet's authority from its next step.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<AuthorityHold>))]
internal enum AuthorityHold
{
    None = 0,

    /// <summary>It was not asked, or does not answer: what it has is not known.</summary>
    Unreachable = 1,

    /// <summary>Its release knows one authority only.</summary>
    EarlierRelease = 2,

    /// <summary>One of its services would refuse a certificate of the new authority.</summary>
    DoesNotTrust = 3,

    /// <summary>One of its certificates is from the old authority.</summary>
    OldCertificate = 4,

    /// <summary>A move goes over a connection that began with an old certificate.</summary>
    MoveUnderWay = 5,
}

/// <param name="Node">the node, or etcd</param>
/// <param name="Text">what is so, and what to do</param>
internal sealed record AuthorityObstacle(string Node, AuthorityHold Hold, string Text);

/// <summary>All nodes, as they are found now.</summary>
internal sealed record AskedNodes(IReadOnlyList<AskedNode> Nodes);

/// <param name="Standing">null: it is this node, or nothing is known of it</param>
/// <param name="Trust">null: nothing is known of it</param>
internal sealed record AskedNode(string Node, PeerStanding? Standing, NodeTrust? Trust);

/// <summary>What the next step of a replacement waits for, by what the nodes say of themselves. Pure.</summary>
internal static class AuthorityReplacement
{
    /// <param name="retires">true: why the old authority cannot be retired, which would cut off who uses it. False: why the new one cannot issue certificates, which who does not trust it would refuse</param>
    /// <param name="newest">fingerprint</param>
    /// <param name="nodes">all of the fleet</param>
    public static IReadOnlyList<AuthorityObstacle> WhyNot(bool retires, string newest, IEnumerable<AskedNode> nodes) =>
        [.. nodes.Select(node => Unknown(node.Node, node.Standing, node.Trust) ?? WhyNotIssue(node.Node, newest, node.Trust!) ?? (retires ? WhyNotRetire(node.Node, newest, node.Trust!) : null)).OfType<AuthorityObstacle>()];

    private static AuthorityObstacle? Unknown(string node, PeerStanding? standing, NodeTrust? trust) => (standing, trust) switch
    {
        ({ Reachable: false }, _) => new(node, AuthorityHold.Unreachable, $"does not answer, so what it has is not known ({standing.Why}): bring it up, or take it out with \"evacuator fleet revoke {node}\""),
        ({ Reachable: true }, null) => new(node, AuthorityHold.EarlierRelease, $"runs {standing.Version}, which knows one authority only: upgrade it"),
        (null, null) => new(node, AuthorityHold.Unreachable, "was not heard of so far: try again"),
        (_, { AgentTrusts: null } or { AgentBy: null }) => new(node, AuthorityHold.Unreachable, "its evacuator-agent does not answer, or is of an earlier release: systemctl status evacuator-agent there"),
        _ => null,
    };

    private static AuthorityObstacle? WhyNotIssue(string node, string newest, NodeTrust trust) => trust.Trusts(newest)
        ? null
        : new(node, AuthorityHold.DoesNotTrust, $"its {(trust.BrainTrusts.Contains(newest) ? "evacuator-agent" : "evacuator")} has not heard of the new authority so far: that takes seconds while it runs and reaches any node that has");

    private static AuthorityObstacle? WhyNotRetire(string node, string newest, NodeTrust trust) => trust switch
    {
        _ when !trust.Has(newest) => new(node, AuthorityHold.OldCertificate, $"its {(trust.BrainBy == newest ? "evacuator-agent" : "evacuator")} has a certificate of the old authority: \"evacuator fleet renew\" there, as root; it does so by itself within a day. Renewed less than {FleetRefresh.Interval.TotalSeconds:0} s ago? Its services are about to take it: try again"),
        { OldConnections: > 0 } => new(node, AuthorityHold.MoveUnderWay, "a move is under way that began with an old certificate: wait for its end"),
        _ => null,
    };
}
