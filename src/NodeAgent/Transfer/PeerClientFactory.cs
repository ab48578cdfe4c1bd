using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>Connections to other agents, each bound to the node that the move names: another node at that address is refused by its certificate.</summary>
internal sealed class PeerClientFactory(FleetTls tls, int agentPort, Wire wire)
{
    public PeerClient For(MoveRequest request) =>
        new(request.DestinationAddress, agentPort, tls.HttpHandlerFor(request.DestinationNode), request.MoveId, request.Token, request.Container, wire: wire);
}
