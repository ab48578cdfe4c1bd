using System.CommandLine;
using System.Net;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Fleet.Authority;

namespace Evacuator.Cli.Membership;

/// <summary>
/// "evacuator fleet init": with --output, all certificates at once, on a machine of an administrator; without, as root on the first node, which then has the authority and
/// lets others in by token.
/// </summary>
internal static class InitVerb
{
    public static Command Create()
    {
        Option<DirectoryInfo?> output = new("--output") { Description = "Offline: where the authority and the join bundles are written; keep it safe.", HelpName = "DIR" };
        Option<string?> address = new("--address") { Description = "Host name or address that the other nodes reach this host by.", HelpName = "ADDRESS" };
        Option<string?> name = new("--node") { Description = "Name of this host in the fleet, where it is not its own name.", HelpName = "NAME" };
        Option<bool> replace = new("--replace") { Description = "Even if this host belongs to another fleet or was another node." };
        Option<DirectoryInfo> etc = FleetVerbs.Etc();
        Option<DirectoryInfo> authority = new("--authority") { DefaultValueFactory = _ => new DirectoryInfo(AuthorityDirectory.DefaultPath), Hidden = true };
        Argument<string[]> nodes = new("NAME=ADDRESS") { Description = "With --output: the nodes, each with the host name or address that the others reach it by.", Arity = ArgumentArity.ZeroOrMore };
        return Verb.Create("init", "Makes a fleet: with this host as its first node, or, with --output, offline with a join bundle for each node.", (context, _) => FleetVerbs.ReportMistakesAsync(() =>
        {
            string[] named = context.Get(nodes) ?? [];
            if (context.Get(output) is { } directory)
                Offline(context, directory.FullName, named);
            else if (named.Length > 0)
                throw new CliException(CliExit.Usage, "name the nodes together with --output DIR; without it this host becomes the first node, and the others join by token");
            else if (context.Get(address) is not { } own)
                throw new CliException(CliExit.Usage, "--address is missing: the host name or address that the other nodes reach this host by (or --output DIR, to make all certificates offline)");
            else
                Online(context, own, context.Get(name), context.Get(authority)!.FullName, context.Get(etc)!.FullName, context.Get(replace));
            return Task.FromResult(CliExit.Ok);
        }), output, address, name, replace, authority, etc, nodes);
    }

    private static void Offline(VerbContext context, string directory, string[] nodes)
    {
        FleetInitResult result = new FleetSetup(TimeProvider.System).Init(directory, [.. nodes.Select(FleetSetup.ParseNode)]);
        context.Out.WriteLine($"{(result.NewAuthority ? "new authority" : "authority")} {result.Fingerprint}");
        foreach (string bundle in result.Bundles)
            context.Out.WriteLine($"  {bundle}");
        context.Out.WriteLine("Copy each bundle to its node in a safe way (it holds keys), run \"evacuator fleet join FILE\" there as root, then delete it.");
    }

    private static void Online(VerbContext context, string address, string? name, string authority, string etc, bool replace)
    {
        Peer self = FleetSetup.ParseNode($"{name ?? JoinVerb.OwnName()}={address}");
        int port = ConfigurationLoader.Load(context.ConfigurationFile).Options?.Fleet.AuthorityPort ?? AuthorityClient.DefaultPort;
        FleetJoinResult result = new FleetSetup(TimeProvider.System).Found(authority, self, AuthorityClient.Text(new DnsEndPoint(address, port)), etc, replace);
        context.Out.WriteLine($"this host is {result.Node}, and has the fleet's authority {result.Fingerprint}");
        context.Out.WriteLine($"Its key is in {authority}: back it up to a safe place. Now:");
        context.Out.WriteLine("  systemctl restart evacuator-agent evacuator");
        context.Out.WriteLine($"  systemctl enable --now evacuator-authority     # lets nodes in, port {port}");
        context.Out.WriteLine("  evacuator fleet token                          # for each node that is to join");
    }
}
