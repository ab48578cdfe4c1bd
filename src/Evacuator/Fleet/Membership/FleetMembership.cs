using System.Globalization;
using System.Net;
using Evacuator.Agent;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Fleet.Authority;
using Evacuator.Hosting;
using Evacuator.Journal;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Fleet.Membership;

/// <summary>
/// Keeps this node's list of the fleet the newest there is. A list comes from the authority's host (an operator's command, or this node asks), or from any peer that has a
/// newer one; it counts because the authority signed it. It decides at once, over the connections that stand as well, and is handed to the agent.
/// <code>
/// authority ──▶ brain on its host ──▶ all peers, at once                       fleet revoke, token, leave
///     ◀── any brain, the more nodes the less often each ── peers that see a higher number in an answer ask for it
/// </code>
/// </summary>
internal sealed partial class FleetMembership(
    FleetTls tls, PeerDirectory peers, JournalStore journal, AgentClient agent, NodeWatch watch, EvacuatorOptions options, BrainTimings timings, TimeProvider time,
    ILogger<FleetMembership> log) : BackgroundService
{
    private const string Fact = "fleet-roster";

    /// <summary>A certificate that ends earlier than this is worth a warning: it should have been renewed long ago.</summary>
    private static readonly TimeSpan Warning = TimeSpan.FromDays(30);

    /// <summary>How long the authority may be silent before a person is told; nothing depends on it meanwhile.</summary>
    private static readonly TimeSpan Silence = TimeSpan.FromHours(1);

    /// <summary>What it issues ends with it: a certificate of a year is cut short from here on.</summary>
    private static readonly TimeSpan AuthorityWarning = TimeSpan.FromDays(365);

    /// <summary>How long two authorities may be trusted before a person is reminded: nodes renew within a day.</summary>
    private static readonly TimeSpan ReplacementPatience = TimeSpan.FromDays(7);

    private readonly SemaphoreSlim _accepting = new(1, 1);
    private volatile AuthorityAnswer _authority = new(null, "", false);
    // Of the list by which the peers were set last.
    private long _taken = tls.Roster?.Roster.Number ?? -1;

    public FleetStanding Standing
    {
        get
        {
            FleetAuthorities trusted = tls.Authorities;
            FleetRoster? roster = tls.Roster?.Roster;
            return new(
                roster?.Number, roster?.Made, roster?.Authority ?? "", trusted.Fingerprints[0], tls.ExpiresAt, watch.AgentView.Host?.CertificateUntil, tls.WhyOut ?? "", _authority.Problem,
                NodeTrust.Of(tls.IssuedBy, trusted.Fingerprints, watch.AgentView.Host), roster?.NewestIssues, [.. trusted.All.Select(authority => new DateTimeOffset(authority.NotAfter.ToUniversalTime()))]);
        }
    }

    /// <summary>What a person has to know.</summary>
    public IEnumerable<string> Notices()
    {
        DateTimeOffset now = time.GetUtcNow();
        if (tls.WhyOut is { } outside)
            yield return $"this node can do nothing in the fleet any more: {outside}. To bring it back: \"evacuator fleet join --token …\"";
        foreach ((DateTimeOffset? until, string whose) in new[] { (tls.ExpiresAt, "evacuator"), (watch.AgentView.Host?.CertificateUntil, "evacuator-agent") })
        {
            if (until - now < Warning)
                yield return $"the certificate of {whose} expires at {until:u}, and then no peer talks to it: {HowToRenew()}";
        }

        DateTimeOffset authorityUntil = new(tls.Authorities.Newest.NotAfter.ToUniversalTime());
        if (authorityUntil - now < AuthorityWarning)
            yield return $"the fleet's authority itself expires at {authorityUntil:u}, and all certificates with it: replace it before, \"evacuator fleet authority new\" {WhereAuthority()}";
        if (tls.Roster?.Roster.NewestIssues is { } replaced && tls.Authorities.All.Count > 1 && now - replaced > ReplacementPatience)
            yield return $"the fleet's authority was replaced at {replaced:u}, and the old one is still trusted: \"evacuator fleet status\" shows who needs it, \"evacuator fleet authority retire\" {WhereAuthority()} ends it";
        if (WhyStranger() is { } stranger)
            yield return stranger;
        if (_authority is { Since: { } since, Problem: { Length: > 0 } problem } && now - since > Silence)
            yield return $"no certificate is renewed and no node revoked from here at present: {problem} (since {since:u})";
    }

    /// <summary>Takes a list if it is newer.</summary>
    /// <param name="spread">tell the peers: for who hears it first</param>
    /// <returns>what came of it</returns>
    /// <exception cref="FleetSetupException">it is not this fleet's list, or not sound</exception>
    public async Task<RosterSpread> AcceptAsync(string text, bool spread, CancellationToken token)
    {
        SignedRoster roster = SignedRoster.Parse(text, tls.Authorities, "the list");
        // Whoever would be cut off by it, this node perhaps, has to hear of it before.
        RosterSpread? told = spread && !tls.Authorities.Fingerprints.All(roster.Authorities.Has) ? await SpreadAsync(roster, token).ConfigureAwait(false) : null;
        // One at a time: a list's peers are set after the list itself, and two must not do it in another order.
        await _accepting.WaitAsync(token).ConfigureAwait(false);
        try
        {
            tls.Accept(roster);
            TakeUp_NeedsTurn();
        }
        finally
        {
            _accepting.Release();
        }

        await TellAgentAsync(token).ConfigureAwait(false);
        if (told is not null)
            return told;
        return spread ? await SpreadAsync(tls.Roster!, token).ConfigureAwait(false) : new RosterSpread(tls.Roster!.Roster.Number, 0, []);
    }

    /// <summary>Peers and journal follow the list, whoever brought it.</summary>
    private void TakeUp_NeedsTurn()
    {
        if (tls.Roster is not { } roster || roster.Roster.Number == _taken)
            return;
        peers.Update([.. roster.Roster.Nodes.Where(peer => peer.Name != options.Node.Name)]);
        _taken = roster.Roster.Number;
        Keep(roster.Text);
        LogAccepted(log, roster.Roster.Number, roster.Roster.Nodes.Count);
        if (tls.WhyOut is { } outside)
            LogOut(log, outside);
    }

    /// <summary>A list that root put into the files is in use already, but nobody has told this part.</summary>
    private async Task TakeUpFilesAsync(CancellationToken token)
    {
        await _accepting.WaitAsync(token).ConfigureAwait(false);
        try
        {
            TakeUp_NeedsTurn();
        }
        finally
        {
            _accepting.Release();
        }
    }

    /// <summary>At the start: what the journal has may be newer than the files.</summary>
    public static void Restore(FleetTls tls, JournalStore journal)
    {
        try
        {
            if (journal.Fact(Fact) is { } text)
                tls.Accept(SignedRoster.Parse(text, tls.Authorities, "the journal"));
        }
        catch (FleetSetupException)
        {
            // Of another fleet, in which this node was earlier.
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        Random random = new();
        DateTimeOffset askAuthority = time.GetUtcNow();
        while (true)
        {
            await TakeUpFilesAsync(stoppingToken).ConfigureAwait(false);
            await TellAgentAsync(stoppingToken).ConfigureAwait(false);
            await AskPeersAsync(stoppingToken).ConfigureAwait(false);
            if (time.GetUtcNow() >= askAuthority && tls.Roster is { Roster: { Authority.Length: > 0 } roster })
            {
                await AskAuthorityAsync(roster, stoppingToken).ConfigureAwait(false);
                // All nodes together ask about every other second, and pass on what is new.
                TimeSpan interval = TimeSpan.FromSeconds(Math.Clamp(roster.Nodes.Count * 2, timings.PeerPoll.TotalSeconds, 600));
                askAuthority = time.GetUtcNow() + interval * (0.5 + random.NextDouble());
            }

            await Task.Delay(timings.PeerPoll, time, stoppingToken).ConfigureAwait(false);
        }
    }

    /// <summary>An agent that was restarted, or was down, may have an older list.</summary>
    private async Task TellAgentAsync(CancellationToken token)
    {
        if (tls.Roster is not { } roster || watch.AgentView.Host is not { } host || host.FleetNumber >= roster.Roster.Number)
            return;
        try
        {
            await agent.TellRosterAsync(roster.Text, token).ConfigureAwait(false);
        }
        catch (AgentException e)
        {
            LogAgentNotTold(log, roster.Roster.Number, e.Message);
        }
    }

    /// <summary>
    /// Whoever says that it has a newer list, one after the other until one has: who was revoked, and is still believed here because this node missed it, must not keep it from
    /// this node by a number that nothing stands behind.
    /// </summary>
    private async Task AskPeersAsync(CancellationToken token)
    {
        long number = tls.Roster?.Roster.Number ?? -1;
        foreach (PeerStanding ahead in peers.Standings.Where(standing => standing.FleetNumber > number).OrderByDescending(standing => standing.FleetNumber))
        {
            if (ahead.FleetNumber <= (tls.Roster?.Roster.Number ?? -1) || peers.Find(ahead.Name) is not { } peer)
                continue;
            try
            {
                await AcceptAsync(await peer.GetRosterAsync(token).ConfigureAwait(false), spread: false, token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is PeerException or FleetSetupException)
            {
                LogNotTaken(log, ahead.Name, e.Message);
            }
        }
    }

    private async Task AskAuthorityAsync(FleetRoster roster, CancellationToken token)
    {
        DateTimeOffset now = time.GetUtcNow();
        string problem = "";
        bool changed = false;
        try
        {
            DnsEndPoint at = AuthorityClient.ParseAddress(roster.Authority);
            using AuthorityClient authority = new(at, tls.Authorities, tls.Certificate, time);
            string text = await authority.RosterAsync(token).ConfigureAwait(false);
            if (SignedRoster.Parse(text, tls.Authorities, roster.Authority).Roster.Number > roster.Number)
                await AcceptAsync(text, spread: true, token).ConfigureAwait(false);
        }
        catch (FleetSetupException e)
        {
            problem = e.Message;
            changed = e is AuthorityChangedException;
        }

        _authority = new AuthorityAnswer(problem.Length > 0 == _authority.Problem.Length > 0 ? _authority.Since ?? now : now, problem, changed);
    }

    private async Task<RosterSpread> SpreadAsync(SignedRoster roster, CancellationToken token)
    {
        string?[] missing = await Task.WhenAll(peers.Names.Select(async name =>
        {
            // Twice: whoever takes a list that retires an authority cuts the connection that began with it, and with it perhaps the answer.
            for (bool again = false; ; again = true)
            {
                try
                {
                    if (peers.Find(name) is { } peer)
                        await peer.TellRosterAsync(roster.Text, token).ConfigureAwait(false);
                    return (string?)null;
                }
                catch (PeerException e) when (again || e.Status is not null)
                {
                    return $"{name}: {e.Message}";
                }
                catch (PeerException)
                {
                    // Once more.
                }
            }
        })).ConfigureAwait(false);
        IReadOnlyList<string> notTold = [.. missing.OfType<string>().Order(StringComparer.Ordinal)];
        return new RosterSpread(roster.Roster.Number, missing.Length - notTold.Count, notTold);
    }

    private void Keep(string text)
    {
        try
        {
            journal.SetFact(Fact, text);
        }
        catch (JournalException e)
        {
            // It holds in any case, and the agent and the peers have it.
            LogNotKept(log, e.Message);
        }
    }

    private string HowToRenew() => tls.Roster is { Roster.Authority.Length: > 0 } roster
        ? string.Create(CultureInfo.InvariantCulture, $"\"systemctl status evacuator-renew.timer\" and \"evacuator fleet renew\" tell why {roster.Roster.Authority} has not renewed it")
        : "issue a new one with \"evacuator fleet init\" and join again";

    private string WhereAuthority() => tls.Roster is { Roster.Authority: { Length: > 0 } at } ? $"on {at.Split(':')[0]}" : "where its directory is";

    /// <summary>What to do on a node that was away while the authority was replaced; null as long as it and the others believe each other's certificates.</summary>
    private string? WhyStranger()
    {
        if (_authority is { HasChanged: true } answer)
        {
            return $"{answer.Problem}. If the authority was replaced while this node was away, it has to join again: \"evacuator fleet token --for {options.Node.Name}\" {WhereAuthority()}, then here the command that it prints, with --replace";
        }

        if (tls.Strangers is not { Count: > 0 } strangers)
            return null;
        string how = tls.Roster is { Roster.Authority.Length: > 0 }
            ? "it hears of a new one from the authority's host within minutes"
            : "the authority is offline, so bring its list: copy fleet.json from its directory, \"evacuator fleet accept fleet.json\"";
        return $"{string.Join(", ", strangers)} {(strangers.Count == 1 ? "shows a certificate" : "show certificates")} of an authority that this node does not know. If it was replaced while this node was away: {how}; or, if the old one has been retired, join again (\"evacuator fleet join --replace\")";
    }

    /// <param name="Since">of this kind of answer; null before the first</param>
    /// <param name="Problem">empty: it answered</param>
    /// <param name="HasChanged">it and this node do not believe each other's certificates</param>
    private sealed record AuthorityAnswer(DateTimeOffset? Since, string Problem, bool HasChanged);

    [LoggerMessage(EventId = 400, Level = LogLevel.Information, Message = "list {Number} of the fleet holds: {Nodes} nodes")]
    private static partial void LogAccepted(ILogger logger, long number, int nodes);

    [LoggerMessage(EventId = 401, Level = LogLevel.Error, Message = "this node can do nothing in the fleet any more: {Reason}")]
    private static partial void LogOut(ILogger logger, string reason);

    [LoggerMessage(EventId = 402, Level = LogLevel.Warning, Message = "list {Number} of the fleet could not be given to the agent, it is tried again: {Reason}")]
    private static partial void LogAgentNotTold(ILogger logger, long number, string reason);

    [LoggerMessage(EventId = 403, Level = LogLevel.Warning, Message = "{Peer} has a newer list of the fleet that was not taken: {Reason}")]
    private static partial void LogNotTaken(ILogger logger, string peer, string reason);

    [LoggerMessage(EventId = 404, Level = LogLevel.Warning, Message = "the list of the fleet holds, but is not in the journal: {Reason}")]
    private static partial void LogNotKept(ILogger logger, string reason);
}

/// <param name="Told">peers that have the list now</param>
/// <param name="NotTold">the others, with the reason; they hear of it as soon as they talk to any node that has it</param>
internal sealed record RosterSpread(long Number, int Told, IReadOnlyList<string> NotTold);

/// <summary>How this node stands in the fleet.</summary>
/// <param name="Number">of the signed list; null: the list was never signed</param>
/// <param name="Authority">where its service listens; empty: it is offline</param>
/// <param name="Fingerprint">SHA-256 of the certificate of the newest authority</param>
/// <param name="CertificateUntil">of the brain</param>
/// <param name="AgentCertificateUntil">null while the agent does not tell</param>
/// <param name="Out">why this node can do nothing in the fleet any more; empty as long as it can</param>
/// <param name="AuthorityProblem">why the authority could not be asked last; empty when it could, or there is none to ask</param>
/// <param name="Trust">whom this node trusts, newest first, and who issued its certificates</param>
/// <param name="NewestIssues">since when the newest of two authorities issues certificates; null: the older does, or there is one</param>
/// <param name="AuthoritiesUntil">when each of the trusted ends</param>
internal sealed record FleetStanding(
    long? Number, DateTimeOffset? Made, string Authority, string Fingerprint, DateTimeOffset CertificateUntil, DateTimeOffset? AgentCertificateUntil, string Out, string AuthorityProblem,
    NodeTrust? Trust = null, DateTimeOffset? NewestIssues = null, IReadOnlyList<DateTimeOffset>? AuthoritiesUntil = null);
