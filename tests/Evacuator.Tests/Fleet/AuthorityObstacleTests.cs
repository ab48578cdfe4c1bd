using Evacuator.Cli.Membership;
using Evacuator.Fleet;
using Evacuator.Fleet.Membership;

namespace Evacuator.Tests.Fleet;

/// <summary>What the next step of a replacement of the authority waits for.</summary>
public sealed class AuthorityObstacleTests
{
    private const string New = "NEW";
    private const string Old = "OLD";

    public static TheoryData<string, string, string> Nodes => new()
    {
        // node, what keeps the new one from issuing, what keeps the old one from being retired
        { "renewed", "", "" },
        { "not-renewed", "", "OldCertificate" },
        { "brain-renewed", "", "OldCertificate" },
        { "move-under-way", "", "MoveUnderWay" },
        { "brain-has-not-heard", "DoesNotTrust", "DoesNotTrust" },
        { "agent-has-not-heard", "DoesNotTrust", "DoesNotTrust" },
        { "agent-down", "Unreachable", "Unreachable" },
        { "off", "Unreachable", "Unreachable" },
        { "off-but-known-before", "Unreachable", "Unreachable" },
        { "never-asked", "Unreachable", "Unreachable" },
        { "earlier-release", "EarlierRelease", "EarlierRelease" },
    };

    [Theory]
    [MemberData(nameof(Nodes))]
    public void WhyNot_OneNode(string kind, string issue, string retire)
    {
        NodeTrust good = new(New, New, [New, Old], [New, Old], 0);
        AskedNode node = kind switch
        {
            "renewed" => Up(good),
            "not-renewed" => Up(good with { BrainBy = Old, AgentBy = Old }),
            "brain-renewed" => Up(good with { AgentBy = Old }),
            "move-under-way" => Up(good with { OldConnections = 1 }),
            "brain-has-not-heard" => Up(good with { BrainBy = Old, AgentBy = Old, BrainTrusts = [Old] }),
            "agent-has-not-heard" => Up(good with { BrainBy = Old, AgentBy = Old, AgentTrusts = [Old] }),
            "agent-down" => Up(good with { AgentBy = null, AgentTrusts = null }),
            "off" => new AskedNode("node2", Standing(false), null),
            "off-but-known-before" => new AskedNode("node2", Standing(false), good),
            "never-asked" => new AskedNode("node2", null, null),
            _ => new AskedNode("node2", Standing(true), null),
        };

        AskedNode self = new("node1", null, good);
        Assert.Equal(issue, Kind(AuthorityReplacement.WhyNot(retires: false, New, [self, node])));
        Assert.Equal(retire, Kind(AuthorityReplacement.WhyNot(retires: true, New, [self, node])));
    }

    /// <summary>A person who has just renewed must not look for a fault.</summary>
    [Fact]
    public void WhyNot_NotRenewed_SaysThatTheServicesTakeItSoon()
    {
        AskedNode node = Up(new NodeTrust(Old, Old, [New, Old], [New, Old], 0));
        Assert.Contains("Renewed less than 10 s ago?", Assert.Single(AuthorityReplacement.WhyNot(retires: true, New, [node])).Text, StringComparison.Ordinal);
        Assert.Contains("within 10 s", RenewVerb.TakenSoon, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(New, New, true, "new")]
    [InlineData(Old, Old, true, "old")]
    [InlineData(New, Old, true, "evacuator new, agent old")]
    [InlineData(Old, Old, false, "old, DOES NOT TRUST the new")]
    [InlineData("?", "?", true, "of an unknown authority")]
    public void Describe_Words(string brain, string agent, bool trusts, string expected)
    {
        IReadOnlyList<string> trusted = trusts ? [New, Old] : [Old];
        Assert.Equal(expected, FleetVerbs.Describe(new NodeTrust(brain, agent, trusted, trusted, 0), [New, Old]));
        Assert.Equal("cannot tell", FleetVerbs.Describe(null, [New, Old]));
    }

    private static string Kind(IReadOnlyList<AuthorityObstacle> found)
    {
        Assert.All(found, obstacle => Assert.Equal("node2", obstacle.Node));
        return found.Count == 0 ? "" : Assert.Single(found).Hold.ToString();
    }

    private static AskedNode Up(NodeTrust trust) => new("node2", Standing(true), trust);

    private static PeerStanding Standing(bool reachable) => new("node2", "10.0.0.2", reachable, reachable, "", default, default, 0, reachable ? "0.1.0" : null);
}
