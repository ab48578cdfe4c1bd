using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;

namespace Evacuator.Common.Tests.Configuration;

public sealed class PeersFileTests
{
    [Fact]
    public void Format_ThenInterpret_GivesTheSamePeersInOrder()
    {
        Peer[] peers = [new("node2", "10.0.0.2"), new("node1", "node1.example"), new("n3.dc", "fd00::3")];

        Assert.Equal(peers, PeersFile.Interpret(IniFile.Parse("p", PeersFile.Format(peers))).Value);
    }

    [Fact]
    public void Interpret_Mistakes_AllReported()
    {
        Checked<IReadOnlyList<Peer>> peers = PeersFile.Interpret(IniFile.Parse("p",
            """
            [node1]
            address = 10.0.0.1
            address = 10.0.0.9
            [Node2]
            address = 10.0.0.2
            [node3]
            [node4]
            address = 10.0.0.1
            [node5]
            address = 10.0.0.5:7361
            port = 3
            [node1]
            address = 10.0.0.300
            """));

        Assert.Null(peers.Value);
        Assert.Equal(
            [
                "p:4: [Node2] is not a node's name: must be " + NodeName.Permitted,
                "p:6: [node3] has no address",
                "p:12: [node1] is there twice",
                "p:3: [node1] has its address twice, see line 2",
                "p:8: 10.0.0.1 is the address of [node1] as well, see line 2",
                "p:10: address = 10.0.0.5:7361: must be a host name or an IP address, without port",
                "p:11: unknown key \"port\": a node has an address only",
                "p:13: address = 10.0.0.300: must be a host name or an IP address, without port",
            ],
            peers.Mistakes.Select(mistake => mistake.ToString()));
    }

    [Fact]
    public void Interpret_NoNode_IsAMistake() =>
        Assert.Equal("p: names no node", Assert.Single(PeersFile.Interpret(IniFile.Parse("p", "# nothing\n")).Mistakes).ToString());
}
