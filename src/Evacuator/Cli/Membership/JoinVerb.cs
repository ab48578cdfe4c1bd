using System.CommandLine;
using System.Net;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Fleet.Authority;

namespace Evacuator.Cli.Membership;

/// <summary>"evacuator fleet join": with a bundle that was made offline, or with a token at the authority's service.</summary>
internal static class JoinVerb
{
    /// <summary>Certificates carry times: a host whose clock is further off than this would not get along with the others, and should know before its token is used up.</summary>
    private static readonly TimeSpan MaxSkew = TimeSpan.FromMinutes(5);

    public static Command Create()
    {
        Argument<string> source = new("FILE|HOST") { Description = "NODE.join, from \"evacuator fleet init --output\"; with --token, the authority's host, HOST or HOST:PORT." };
        Option<string?> token = new("--token") { Description = "From \"evacuator fleet token\"; - reads it from standard input, so that it is in no list of processes.", HelpName = "TOKEN" };
        Option<string?> node = new("--node") { Description = "Name in the fleet, where it is not this host's own name.", HelpName = "NAME" };
        Option<string?> address = new("--address") { Description = "With --token: host name or address that the others reach this host by; its address on the way to the authority if nothing is said.", HelpName = "ADDRESS" };
        Option<bool> replace = new("--replace") { Description = "Join even if this host belongs to another fleet or was another node." };
        Option<DirectoryInfo> etc = FleetVerbs.Etc();
        return Verb.Create("join", "Makes this host a node of the fleet; as root.", (context, cancel) => FleetVerbs.ReportMistakesAsync(async () =>
        {
            FleetJoinResult result;
            if (context.Get(token) is { } word)
            {
                uint group = FleetSetup.RequireRoot();
                JoinToken parsed = JoinToken.Parse(word == "-" ? await context.In.ReadLineAsync(cancel).ConfigureAwait(false) ?? "" : word);
                result = await JoinAsync(new TokenJoin(parsed, AuthorityClient.ParseAddress(context.Get(source)!), context.Get(node) ?? OwnName(), context.Get(address),
                    context.Get(etc)!.FullName, group, context.Get(replace)), TimeProvider.System, cancel).ConfigureAwait(false);
            }
            else
            {
                RefuseHostWithoutToken(context.Get(source)!);
                RefuseOtherHost(context.Get(source)!, context.Get(node), Environment.MachineName);
                result = new FleetSetup(TimeProvider.System).Join(Path.GetFullPath(context.Get(source)!), context.Get(etc)!.FullName, context.Get(replace));
            }

            context.Out.WriteLine($"this host is {result.Node}, in a fleet of {result.Peers.Count} nodes (authority {result.Fingerprint})");
            context.Out.WriteLine("Now: systemctl restart evacuator-agent evacuator");
            return CliExit.Ok;
        }), source, token, node, address, replace, etc);
    }

    /// <param name="Group">owns the brain's key; null leaves it to the caller's</param>
    internal sealed record TokenJoin(JoinToken Token, DnsEndPoint At, string Node, string? Address, string Etc, uint? Group, bool Replace);

    /// <summary>
    /// 1. The authority shows the certificate whose fingerprint the token has; nothing is sent before. 2. This host is free for it, and its clock is right. 3. Keys are made here.
    /// 4. Token and requests go to the authority, certificates and the list come back, and are checked. 5. The files are written.
    /// </summary>
    internal static async Task<FleetJoinResult> JoinAsync(TokenJoin join, TimeProvider time, CancellationToken cancel)
    {
        // 1.
        Acquaintance met = await AuthorityClient.MeetAsync(join.At, join.Token.Fingerprint, cancel).ConfigureAwait(false);
        using System.Security.Cryptography.X509Certificates.X509Certificate2 authority = met.Authority;

        // 2.
        if (!join.Replace)
            FleetSetup.RefuseOtherFleet(Path.Combine(join.Etc, "tls"), FleetAuthorities.Of(authority), join.Node);
        TimeSpan ahead = time.GetUtcNow() - met.Time;
        if (ahead.Duration() > MaxSkew)
            throw new FleetSetupException($"this host's clock is {Duration.Format(TimeSpan.FromSeconds(Math.Round(ahead.Duration().TotalSeconds)))} {(ahead > TimeSpan.Zero ? "ahead of" : "behind")} the authority's: correct it first, the token is not used up");
        string address = join.Address ?? met.LocalAddress switch
        {
            null => throw new FleetSetupException("this host's own address cannot be told: name it with --address"),
            var own when IPAddress.IsLoopback(own) => throw new FleetSetupException("the authority is reached over the loopback interface, so this host's own address cannot be told: name it with --address"),
            { IsIPv4MappedToIPv6: true } own => own.MapToIPv4().ToString(),
            var own => own.ToString(),
        };

        // 3.
        NodeRequest brain = NodeRequest.Make(new PeerIdentity(join.Node, FleetRole.Brain));
        NodeRequest agent = NodeRequest.Make(new PeerIdentity(join.Node, FleetRole.Agent));

        // 4.
        using AuthorityClient client = new(join.At, FleetAuthorities.Of(authority), own: null, time);
        JoinRequest request = new(join.Token.Id, join.Token.Secret, join.Node, address, brain.RequestPem, agent.RequestPem);
        JoinReply reply;
        try
        {
            reply = await client.JoinAsync(request, cancel).ConfigureAwait(false);
        }
        catch (FleetSetupException e) when (e.InnerException is HttpRequestException or OperationCanceledException && !cancel.IsCancellationRequested)
        {
            // The answer may have been lost after the token was used: the same keys may ask again, nobody else may.
            reply = await client.JoinAsync(request, cancel).ConfigureAwait(false);
        }

        string source = AuthorityClient.Text(join.At);
        IssuedCertificate brainPair = new(reply.Brain, brain.KeyPem), agentPair = new(reply.Agent, agent.KeyPem);
        SignedRoster roster = SignedRoster.Parse(reply.Roster, FleetAuthorities.Of(authority), source);
        FleetSetup.Verify(source, join.Node, roster.Authorities, brainPair, agentPair, time);
        if (roster.Roster.Nodes.All(peer => peer.Name != join.Node))
            throw new FleetSetupException($"{source}: its list of nodes does not name {join.Node}");

        // 5.
        return FleetSetup.Install(new NodeFiles(join.Node, roster.Authorities, brainPair, agentPair, roster.Roster.Nodes, roster), join.Etc, join.Group);
    }

    /// <exception cref="FleetSetupException">the host's name cannot be a node's</exception>
    public static string OwnName()
    {
        string name = Environment.MachineName.ToLowerInvariant();
        return NodeName.IsValid(name) ? name : throw new FleetSetupException($"this host is called \"{Environment.MachineName}\", and a node's name must be {NodeName.Permitted}: name it with --node");
    }

    /// <summary>Whoever names the authority's host and forgets the token must not read of a missing file.</summary>
    internal static void RefuseHostWithoutToken(string source)
    {
        if (!File.Exists(source) && !source.EndsWith(".join", StringComparison.Ordinal) && !source.Contains('/', StringComparison.Ordinal))
            throw new CliException(CliExit.Usage, $"there is no file {source} here. If it is a bundle, name the file; if it is the authority's host, a token is missing: \"evacuator fleet token\" there makes one, "
                + $"then \"evacuator fleet join --token TOKEN {source}\" here");
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
}
