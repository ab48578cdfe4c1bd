using System.CommandLine;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Api;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Fleet.Authority;
using Evacuator.Fleet.Etcd;
using Evacuator.Fleet.Membership;

namespace Evacuator.Cli.Membership;

/// <summary>
/// "evacuator fleet authority": replaces the key that signs all certificates, while everything runs. Each step may be asked for again, and goes on where it is.
/// <code>
/// new      1. a second authority; the nodes trust both      2. when all of them do, and etcd does: certificates are of the new one
///          the nodes renew their certificates: by themselves within a day, or "fleet renew"
/// retire   3. when all have: nobody trusts the old one
/// </code>
/// </summary>
internal static class AuthorityVerbs
{
    private const string ThisHost = "this host";

    /// <summary>How long a list that was told takes to arrive everywhere that it can.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    public static Command Create() => new("authority", "Replaces the fleet's authority, whose key signs all certificates, while everything runs.") { CreateNew(), CreateRetire() };

    private static Command CreateNew()
    {
        Option<bool> force = new("--force") { Description = "Let the new authority issue certificates although a node does not trust it so far, or cannot be asked." };
        Option<bool> lostKey = new("--lost-key") { Description = "The old authority's key is lost: on the host that is to have the new one. Every node has to be told by hand." };
        Option<string?> address = new("--address") { Description = "With --lost-key: host name or address that the other nodes reach this host by, if it is not the authority's host so far.", HelpName = "ADDRESS" };
        Option<DirectoryInfo> authority = FleetVerbs.Authority();
        return Verb.Create("new", "On the authority's host, as root: makes a new authority that all nodes trust besides the old one, then lets it issue certificates.", (context, token) => FleetVerbs.ReportMistakesAsync(async () =>
        {
            string directory = context.Get(authority)!.FullName;
            Registrar registrar = new(directory, TimeProvider.System);
            bool isLost = context.Get(lostKey) && !AuthorityDirectory.HasKeyOfList(directory, TimeProvider.System);
            if (context.Get(address) is not null && !context.Get(lostKey))
                throw new CliException(CliExit.Usage, "--address is for an authority whose key is lost: add --lost-key, or leave it out");
            if (isLost)
            {
                _ = ReplaceLost(context, registrar, directory, context.Get(address));
                return CliExit.Ok;
            }

            bool isThere = registrar.State().Old is not null;
            AuthorityState state = registrar.AddAuthority();
            context.Out.WriteLine($"{(isThere ? "the new authority is" : "made a new authority,")} {state.Newest}, until {state.Signed.Authorities.Newest.NotAfter.ToUniversalTime():u}");
            if (!isThere)
                context.Out.WriteLine($"Its key is in {directory}: back it up now.");
            if (state.OldKeyLost && !state.NewestIssues)
                WriteAccept(context, state, directory);
            else
                context.Out.WriteLine(await FleetVerbs.TellAsync(context, state.Signed.Text, token).ConfigureAwait(false));

            if (!state.NewestIssues)
            {
                IReadOnlyList<AuthorityObstacle> obstacles = context.Get(force) ? [] : await ObstaclesAsync(context, registrar, state, retires: false, token).ConfigureAwait(false);
                if (obstacles is [{ Node: ThisHost }] && state.Signed.Roster.Authority.Length == 0)
                {
                    context.Out.WriteLine($"When \"evacuator fleet status\" on the nodes shows that all trust it: \"evacuator fleet authority new --force\" here lets it issue certificates.");
                    return CliExit.Ok;
                }

                Write(context, obstacles);
                if (obstacles.Count > 0)
                {
                    context.Error.WriteLine("The new authority issues no certificates so far: a node that does not trust it would refuse who has one. Nothing else is different meanwhile. When this is mended:");
                    context.Error.WriteLine("  evacuator fleet authority new          # once more; --force does not wait for them");
                    return CliExit.Failed;
                }

                state = registrar.IssueByNewest();
                context.Out.WriteLine(await FleetVerbs.TellAsync(context, state.Signed.Text, token).ConfigureAwait(false));
            }

            WriteNext(context, state);
            return CliExit.Ok;
        }), force, lostKey, address, authority);
    }

    private static Command CreateRetire()
    {
        Option<bool> force = new("--force") { Description = "Although a node needs the old authority still: it is cut off at once and has to join again." };
        Option<DirectoryInfo> authority = FleetVerbs.Authority();
        return Verb.Create("retire", "On the authority's host, as root: ends all trust in the old authority. Refused while a node needs it.", (context, token) => FleetVerbs.ReportMistakesAsync(async () =>
        {
            Registrar registrar = new(context.Get(authority)!.FullName, TimeProvider.System);
            AuthorityState state = registrar.State();
            if (state.Old is not { } old)
            {
                // Also what an interrupted one has left to do.
                state = registrar.RetireOld();
                context.Out.WriteLine($"the fleet has one authority, {state.Newest}: nothing to retire");
                context.Out.WriteLine(await FleetVerbs.TellAsync(context, state.Signed.Text, token).ConfigureAwait(false));
                return CliExit.Ok;
            }

            IReadOnlyList<AuthorityObstacle> obstacles = await ObstaclesAsync(context, registrar, state, retires: true, token).ConfigureAwait(false);
            Write(context, obstacles);
            if (obstacles.Count > 0 && !context.Get(force))
                throw new CliException(CliExit.Refused, $"{(obstacles.Count == 1 ? "this still needs" : $"these {obstacles.Count} still need")} the old authority, or cannot be asked; --force cuts off at once whatever it has signed");
            state = registrar.RetireOld();
            context.Out.WriteLine($"{old} is retired: whatever it has signed is void, its key is deleted from here (and not from your backups), list {state.Signed.Roster.Number}");
            context.Out.WriteLine(await FleetVerbs.TellAsync(context, state.Signed.Text, token).ConfigureAwait(false));
            foreach (AuthorityObstacle cut in obstacles.Where(obstacle => obstacle.Hold is AuthorityHold.Unreachable or AuthorityHold.DoesNotTrust or AuthorityHold.OldCertificate && obstacle.Node != EtcdTrial.Name))
                context.Out.WriteLine($"{cut.Node} has to join again unless it had renewed its certificates: \"evacuator fleet token --for {cut.Node}\" prints the command for it, to which --replace is added");
            return CliExit.Ok;
        }), force, authority);
    }

    private static AuthorityState ReplaceLost(VerbContext context, Registrar registrar, string directory, string? address)
    {
        ConfigurationResult configuration = ConfigurationLoader.Load(context.ConfigurationFile);
        if (configuration.Options is not { } options)
            throw new CliException(CliExit.Configuration, string.Join('\n', configuration.Mistakes));
        Checked<FleetMembers> members = FleetMembers.Load(options);
        if (members.Value?.Roster is not { } last)
            throw new FleetSetupException(members.Value is null ? string.Join('\n', members.Mistakes) : "this host has no signed list of the fleet: run it on a node");
        if (last.Authorities.All.Count > 1)
            throw new FleetSetupException("the fleet's authority is being replaced, and one of the two keys is lost: bring back the directory from its backup; without it, make a new fleet");
        string? serveAt = address is null ? null : AuthorityClient.Text(new System.Net.DnsEndPoint(AuthorityClient.ParseAddress(address).Host, options.Fleet.AuthorityPort));
        AuthorityState state = registrar.AddWithoutKey(last.Authorities.Newest, last.Roster, serveAt);
        context.Out.WriteLine($"made a new authority, {state.Newest}, until {state.Signed.Authorities.Newest.NotAfter.ToUniversalTime():u}");
        context.Out.WriteLine($"Its key is in {directory}: back it up now.");
        WriteAccept(context, state, directory);
        return state;
    }

    private static void WriteAccept(VerbContext context, AuthorityState state, string directory)
    {
        context.Out.WriteLine($"Nothing but your word can make a node trust it. On every node, this one too, as root, with {Path.Combine(directory, SignedRoster.FileName)} copied there:");
        context.Out.WriteLine($"  evacuator fleet accept --authority {state.Newest} {SignedRoster.FileName}");
        context.Out.WriteLine("Then, here:");
        context.Out.WriteLine("  systemctl enable --now evacuator-authority");
        context.Out.WriteLine("  evacuator fleet authority new");
    }

    /// <summary>What keeps the next step; asked for until nothing does, or nothing more will change soon.</summary>
    private static async Task<IReadOnlyList<AuthorityObstacle>> ObstaclesAsync(VerbContext context, Registrar registrar, AuthorityState state, bool retires, CancellationToken token)
    {
        TimeProvider time = TimeProvider.System;
        long since = time.GetTimestamp();
        IReadOnlyList<AuthorityObstacle> obstacles;
        do
        {
            obstacles = await AskNodesAsync(context, state, retires, token).ConfigureAwait(false);
            // Only what was told just now may change by waiting.
            if (obstacles.All(obstacle => obstacle.Hold != AuthorityHold.DoesNotTrust) || retires)
                break;
            await Task.Delay(TimeSpan.FromSeconds(1), time, token).ConfigureAwait(false);
        }
        while (time.GetElapsedTime(since) < Patience);
        return [.. obstacles, .. await AskEtcdAsync(context, registrar, state, retires, token).ConfigureAwait(false)];
    }

    private static async Task<IReadOnlyList<AuthorityObstacle>> AskNodesAsync(VerbContext context, AuthorityState state, bool retires, CancellationToken token)
    {
        try
        {
            using BrainClient client = context.Connect();
            AskedNodes asked = await client.GetAsync<AskedNodes>(ApiRoutes.Fleet + "/nodes", token).ConfigureAwait(false);
            return AuthorityReplacement.WhyNot(retires, state.Newest, state.Signed.Roster.Nodes.Select(node => asked.Nodes.FirstOrDefault(found => found.Node == node.Name) ?? new AskedNode(node.Name, null, null)));
        }
        catch (CliException e)
        {
            return [new AuthorityObstacle(ThisHost, AuthorityHold.Unreachable, $"the nodes can be asked by the service here only, and it cannot be: {e.Message}")];
        }
    }

    private static async Task<IReadOnlyList<AuthorityObstacle>> AskEtcdAsync(VerbContext context, Registrar registrar, AuthorityState state, bool retires, CancellationToken token)
    {
        if (ConfigurationLoader.Load(context.ConfigurationFile).Options is not { Fleet.Store: FleetStore.Etcd } options)
            return [];
        using X509Certificate2 own = registrar.TryOut(new PeerIdentity(options.Node.Name, FleetRole.Brain));
        return await EtcdTrial.RunAsync(options.Fleet, retires ? FleetAuthorities.Of(state.Signed.Authorities.Newest) : state.Signed.Authorities, own, TimeProvider.System, token).ConfigureAwait(false);
    }

    private static void Write(VerbContext context, IReadOnlyList<AuthorityObstacle> obstacles)
    {
        foreach (AuthorityObstacle obstacle in obstacles)
            context.Error.WriteLine($"  {obstacle.Node} ({System.Text.Json.JsonNamingPolicy.KebabCaseLower.ConvertName(obstacle.Hold.ToString())}): {obstacle.Text}");
    }

    private static void WriteNext(VerbContext context, AuthorityState state)
    {
        if (state.Old is null)
            return;
        context.Out.WriteLine($"Certificates are of the new authority since {state.Signed.Roster.NewestIssues:u}; the old one, {state.Old}, is still trusted. Next:");
        if (state.Signed.Roster.Authority.Length > 0)
            context.Out.WriteLine("  evacuator fleet renew                  # on each node, as root; each does so by itself within a day");
        else
            context.Out.WriteLine("  evacuator fleet init --output DIR; evacuator fleet join NODE.join on each node; no restart is needed");
        context.Out.WriteLine("  evacuator fleet status                 # who has a certificate of which authority");
        context.Out.WriteLine("  evacuator fleet authority retire       # when all have one of the new");
    }
}
