using System.CommandLine;
using Evacuator.Api;
using Evacuator.Common.Fleet;
using Evacuator.Placement;

namespace Evacuator.Cli;

internal static class FleetVerbs
{
    public static Command Create() => new("fleet", "Makes the fleet's certificates, joins this host to it, shows its nodes.") { CreateInit(), CreateJoin(), CreateStatus(), FleetUnlockVerb.Create() };

    private static Command CreateInit()
    {
        Option<DirectoryInfo> output = new("--output") { Description = "Where the authority and the join bundles are written; keep it safe.", Required = true, HelpName = "DIR" };
        Argument<string[]> nodes = new("NAME=ADDRESS") { Description = "The nodes, each with the host name or address that the others reach it by.", Arity = ArgumentArity.OneOrMore };
        return Verb.Create("init", "Makes the authority and a join bundle for each node; again with more nodes adds them.", (context, _) =>
        {
            try
            {
                List<Peer> peers = [.. context.Get(nodes)!.Select(FleetSetup.ParseNode)];
                FleetInitResult result = new FleetSetup(TimeProvider.System).Init(context.Get(output)!.FullName, peers);
                context.Out.WriteLine($"{(result.NewAuthority ? "new authority" : "authority")} {result.Fingerprint}");
                foreach (string bundle in result.Bundles)
                    context.Out.WriteLine($"  {bundle}");
                context.Out.WriteLine("Copy each bundle to its node in a safe way (it holds keys), run \"evacuator fleet join FILE\" there as root, then delete it.");
                return Task.FromResult(CliExit.Ok);
            }
            catch (FleetSetupException e)
            {
                throw new CliException(CliExit.Failed, e.Message, e);
            }
        }, output, nodes);
    }

    private static Command CreateJoin()
    {
        Argument<FileInfo> bundle = new("FILE") { Description = "NODE.join, from \"evacuator fleet init\"." };
        Option<string?> node = new("--node") { Description = "Name in the bundle, where it is not this host's own name.", HelpName = "NAME" };
        Option<bool> replace = new("--replace") { Description = "Join even if this host belongs to another fleet or was another node." };
        Option<DirectoryInfo> etc = new("--etc") { Description = "Instead of /etc/evacuator.", DefaultValueFactory = _ => new DirectoryInfo("/etc/evacuator"), Hidden = true };
        return Verb.Create("join", "Makes this host a node of the fleet; as root.", (context, _) =>
        {
            try
            {
                RefuseOtherHost(context.Get(bundle)!.FullName, context.Get(node), Environment.MachineName);
                FleetJoinResult result = new FleetSetup(TimeProvider.System).Join(context.Get(bundle)!.FullName, context.Get(etc)!.FullName, context.Get(replace));
                context.Out.WriteLine($"this host is {result.Node}, in a fleet of {result.Peers.Count} nodes (authority {result.Fingerprint})");
                context.Out.WriteLine("Now: systemctl restart evacuator-agent evacuator");
                return Task.FromResult(CliExit.Ok);
            }
            catch (FleetSetupException e)
            {
                throw new CliException(CliExit.Failed, e.Message, e);
            }
        }, bundle, node, replace, etc);
    }

    /// <summary>Two hosts with one bundle are one node to the fleet, and each would be taken for the other: a bundle that does not look like this host's has to be meant.</summary>
    internal static void RefuseOtherHost(string bundle, string? meant, string hostName)
    {
        string name = JoinBundle.Read(bundle).Node;
        if (meant is not null && meant != name)
            throw new CliException(CliExit.Refused, $"{bundle} is for {name}, not for {meant}");
        bool isOwn = string.Equals(name, hostName, StringComparison.OrdinalIgnoreCase) || string.Equals(name.Split('.')[0], hostName.Split('.')[0], StringComparison.OrdinalIgnoreCase);
        if (meant is null && !isOwn)
            throw new CliException(CliExit.Refused, $"{bundle} is for {name} and this host is called {hostName}: take its own bundle, or, if {name} is its name in the fleet, add --node {name}");
    }

    private static Command CreateStatus()
    {
        Option<bool> json = CliOptions.Json();
        return Verb.Create("status", "Shows the peers as this node sees them. Exit code 1 if one cannot be reached.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            NodeStatus status = await client.GetAsync<NodeStatus>(ApiRoutes.Status, token).ConfigureAwait(false);
            if (context.Get(json))
            {
                context.WriteJson(status.Peers);
            }
            else
            {
                TextTable table = new("NODE", "ADDRESS", "STATE", "VERSION", "FREE MEMORY", "");
                table.Add(status.Node, "(this host)", status.Closed is null ? "open" : "closed", status.Version, status.Host is { } host ? Bytes.Text(host.MemoryAvailable) : "-", "");
                foreach (Fleet.PeerStanding peer in status.Peers)
                {
                    table.Add(peer.Name, peer.Address, (peer.Reachable, peer.Usable) switch { (false, _) => "UNREACHABLE", (_, false) => "not usable", _ => "ready" },
                        peer.Version ?? "-", peer.Reachable ? Bytes.Text(peer.MemoryAvailable) : "-", peer.Why);
                }

                table.WriteTo(context.Out);
                ShowFleet.Write(await client.GetAsync<FleetReply>(ApiRoutes.Fleet, token).ConfigureAwait(false), context.Out);
            }

            return status.Peers.All(peer => peer.Reachable) ? CliExit.Ok : CliExit.Failed;
        }, json);
    }
}
