using System.CommandLine;
using Evacuator.Api;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Fleet.Etcd;
using Evacuator.Fleet.Locks;
using Evacuator.Fleet.Membership;
using Evacuator.Placement;

namespace Evacuator.Cli.Membership;

internal static class FleetVerbs
{
    public static Command Create() => new("fleet", "Makes the fleet, lets nodes in and out, renews certificates, shows the nodes.")
    {
        InitVerb.Create(), TokenVerb.Create(), JoinVerb.Create(), LeaveVerb.Create(), RevokeVerb.Create(), RenewVerb.Create(), AcceptVerb.Create(), AuthorityVerbs.Create(), CreateStatus(), FleetUnlockVerb.Create(),
    };

    /// <summary>Where the authority is, if not where its service has it.</summary>
    public static Option<DirectoryInfo> Authority() => new("--authority")
    {
        Description = $"Directory of the authority, if it is not {AuthorityDirectory.DefaultPath}.",
        HelpName = "DIR",
        DefaultValueFactory = _ => new DirectoryInfo(AuthorityDirectory.DefaultPath),
    };

    public static Option<DirectoryInfo> Etc() => new("--etc") { Description = "Instead of /etc/evacuator.", DefaultValueFactory = _ => new DirectoryInfo("/etc/evacuator"), Hidden = true };

    public static async Task<int> ReportMistakesAsync(Func<Task<int>> run)
    {
        try
        {
            return await run().ConfigureAwait(false);
        }
        catch (FleetSetupException e)
        {
            throw new CliException(e.NotAllowed ? CliExit.NoPermission : CliExit.Failed, e.Message, e);
        }
    }

    /// <summary>Tells the fleet of a new list over the service on this host, if there is one.</summary>
    /// <returns>what came of it, for a person</returns>
    public static async Task<string> TellAsync(VerbContext context, string roster, CancellationToken token)
    {
        try
        {
            using BrainClient client = context.Connect();
            RosterSpread spread = await client.SendAsync<RosterSpread>(HttpMethod.Post, ApiRoutes.Fleet, new RosterMessage(roster), token).ConfigureAwait(false);
            return spread.NotTold.Count == 0
                ? $"all {spread.Told} other nodes know it"
                : $"{spread.Told} of {spread.Told + spread.NotTold.Count} other nodes know it; these will hear it from any node as soon as they are back:\n  {string.Join("\n  ", spread.NotTold)}";
        }
        catch (CliException e)
        {
            return $"no node could be told from here ({e.Message}): copy {SignedRoster.FileName} to any node and run \"evacuator fleet accept {SignedRoster.FileName}\" there, it tells the others";
        }
    }

    private static Command CreateStatus()
    {
        Option<bool> json = CliOptions.Json();
        return Verb.Create("status", "Shows the peers as this node sees them. Exit code 1 if one cannot be reached.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            NodeStatus status = await client.GetAsync<NodeStatus>(ApiRoutes.Status, token).ConfigureAwait(false);
            FleetReply shared = await client.GetAsync<FleetReply>(ApiRoutes.Fleet, token).ConfigureAwait(false);
            if (context.Get(json))
            {
                context.WriteJson(new FleetReport(status.Node, status.Version, status.Closed, status.Host?.MemoryAvailable, status.Fleet, status.Peers, shared.Lock, shared.Limits, shared.Reservations));
            }
            else
            {
                if (status.Fleet is { } fleet)
                    Show(fleet, context.Out);
                IReadOnlyList<string> authorities = status.Fleet?.Trust?.BrainTrusts ?? [];
                TextTable table = new("NODE", "ADDRESS", "STATE", "VERSION", "FREE MEMORY", "CERTIFICATES", "");
                table.Add(status.Node, "(this host)", status.Closed is null ? "open" : "closed", status.Version, status.Host is { } host ? Bytes.Text(host.MemoryAvailable) : "-",
                    Describe(status.Fleet?.Trust, authorities), "");
                foreach (PeerStanding peer in status.Peers)
                {
                    table.Add(peer.Name, peer.Address, (peer.Reachable, peer.Usable) switch { (false, _) => "UNREACHABLE", (_, false) => "not usable", _ => "ready" },
                        peer.Version ?? "-", peer.Reachable ? Bytes.Text(peer.MemoryAvailable) : "-", peer.Reachable ? Describe(peer.Trust, authorities) : "-", peer.Why);
                }

                table.WriteTo(context.Out);
                ShowFleet.Write(shared, status.Watches, context.Out);
            }

            return status.Peers.All(peer => peer.Reachable) ? CliExit.Ok : CliExit.Failed;
        }, json);
    }

    private static void Show(FleetStanding fleet, TextWriter output)
    {
        if (fleet.Out.Length > 0)
            output.WriteLine($"OUT OF THE FLEET: {fleet.Out}");
        output.WriteLine(fleet.Number is { } number ? $"list {number} of {fleet.Made:u}, signed by {fleet.Fingerprint}" : $"list: the peers file, not signed; authority {fleet.Fingerprint}");
        output.WriteLine($"authority: {(fleet.Authority.Length > 0 ? fleet.Authority : "offline")}{(fleet.AuthorityProblem.Length > 0 ? $" (does not answer: {fleet.AuthorityProblem})" : "")}");
        output.WriteLine($"certificates until: evacuator {fleet.CertificateUntil:u}, evacuator-agent {(fleet.AgentCertificateUntil is { } until ? $"{until:u}" : "cannot tell")}");
        if (fleet is { Trust.BrainTrusts: { Count: > 1 } trusted, AuthoritiesUntil: { } ends })
        {
            output.WriteLine($"the authority is being replaced, certificates of both are good:");
            output.WriteLine($"  new {trusted[0]}, until {ends[0]:u}, {(fleet.NewestIssues is { } since ? $"issues certificates since {since:u}" : "issues certificates when all nodes trust it")}");
            output.WriteLine($"  old {trusted[^1]}, until {ends[^1]:u}, until \"evacuator fleet authority retire\"");
        }

        output.WriteLine();
    }

    /// <summary>Of which of the authorities that this node trusts a node's certificates are, and whether it trusts the newest.</summary>
    internal static string Describe(NodeTrust? trust, IReadOnlyList<string> authorities)
    {
        if (trust is null || authorities.Count == 0)
            return "cannot tell";
        string newest = authorities[0];
        string brain = Word(trust.BrainBy), agent = trust.AgentBy is { } by ? Word(by) : "cannot tell";
        string certificates = brain == agent ? brain : $"evacuator {brain}, agent {agent}";
        return trust.AgentTrusts is not null && !trust.Trusts(newest) ? $"{certificates}, DOES NOT TRUST the new" : certificates;

        string Word(string issuer) => issuer == newest ? (authorities.Count > 1 ? "new" : "good") : authorities.Contains(issuer) ? "old" : "of an unknown authority";
    }
}

/// <summary>"evacuator fleet status --json": all that the text shows.</summary>
/// <param name="Closed">why this node takes no containers; null when it does</param>
/// <param name="MemoryAvailable">bytes on this node; null while its agent does not answer</param>
/// <param name="Fleet">the list of nodes and the certificates; null: there is no fleet</param>
/// <param name="Lock">who is out, who waits, what of it is unknown</param>
internal sealed record FleetReport(
    string Node, string Version, ClosedAdmission? Closed, long? MemoryAvailable, FleetStanding? Fleet, IReadOnlyList<PeerStanding> Peers, FleetLockView Lock, FleetLimits Limits,
    IReadOnlyList<ReservationRecord> Reservations);
