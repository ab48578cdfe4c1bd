using System.Globalization;
using Evacuator.Api;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Homecoming;
using Evacuator.Journal;
using Evacuator.Placement;

namespace Evacuator.Cli;

/// <summary>What people read at 3 a.m.: plain text, the most important line first, no line without a meaning.</summary>
internal static class Show
{
    /// <summary>Characters; what is shorter may as well be told twice.</summary>
    private const int LongReason = 40;

    public static void Status(NodeStatus status, TextWriter output)
    {
        output.WriteLine($"{status.Node}   Evacuator {status.Version}");
        foreach (string notice in status.Notices)
            output.WriteLine($"  !! {notice}");
        output.WriteLine(status.Closed is { } closed
            ? $"  admission: CLOSED since {Time(closed.Since)} ({closed.Reason}); \"evacuator reopen\" opens it"
            : "  admission: open");
        if (status.Reopens is { } reopens)
            output.WriteLine($"  {Wait(reopens)}");
        output.WriteLine(status.Host is { } host
            ? $"  host: {Bytes.Text(host.MemoryAvailable)} of {Bytes.Text(host.MemoryTotal)} memory free for containers, {host.Cpus} CPUs, kernel {host.Kernel}"
            : $"  host: cannot tell since {Time(status.AgentSince)}: {status.AgentProblem} (\"systemctl status evacuator-agent\")");
        if (status.Host?.Dump is { } dump)
            output.WriteLine($"  {Dump(dump)}");
        foreach (Requirement missing in status.Missing)
            output.WriteLine($"  MISSING {missing.Name}: found {missing.Found}. {missing.Remedy}");
        Obstacles(status.Obstacles, output);
        if (status.Health is { } health && status.Bmc.State != "none")
            output.WriteLine($"  health: {Words.Of(health.Verdict).ToUpperInvariant()} since {Time(health.Since)}{(health.Verdict == Health.Verdict.Ok ? "" : $": {health.Why}; \"evacuator signals\" shows more")}");
        Bmc(status.Bmc, output);
        if (status.LedLitSince is { } lit)
            output.WriteLine($"  locator LED: lit since {Time(lit)}; \"evacuator reopen\" or \"evacuator bmc led off\" switches it off");

        output.WriteLine();
        if (status.Containers.Count == 0)
        {
            output.WriteLine(status.Host is null ? "containers: cannot tell" : "containers: none");
        }
        else
        {
            TextTable table = new("CONTAINER", "STATE", "MEMORY", "ADDRESS", "CAN MOVE");
            foreach (ContainerStatus container in status.Containers)
            {
                table.Add(container.Name, container.State, Bytes.Text(container.MemoryBytes), container.Addresses.Count > 0 ? container.Addresses[0] : "-",
                    container.Blockers.Count == 0 ? "yes" : "NO: " + string.Join("; ", container.Blockers.Select(blocker => blocker.Text)));
            }

            table.WriteTo(output);
        }

        foreach (GuestStatus guest in status.Guests)
            output.WriteLine($"  {guest.Name} belongs to {guest.Home}, here since {Time(guest.Since)} from {guest.From}");
        foreach (HeldRoom room in status.Reservations)
            output.WriteLine($"  {Bytes.Text(room.MemoryBytes)} are held for {room.Container} from {room.From}: {Words.Of(room.Phase)}, last news {Time(room.Since)}");
        if (status.Homecoming is { } homecoming && !homecoming.Phase.IsEnd())
        {
            output.WriteLine();
            ShowHomecoming.State(homecoming, output);
        }

        output.WriteLine();
        if (status.Peers.Count == 0)
        {
            output.WriteLine("peers: none");
        }
        else
        {
            TextTable table = new("PEER", "ADDRESS", "STATE", "FREE MEMORY", "SINCE", "");
            foreach (Fleet.PeerStanding peer in status.Peers)
            {
                string state = (peer.Reachable, peer.Usable) switch { (false, _) => "UNREACHABLE", (_, false) => "not usable", _ => "ready" };
                table.Add(peer.Name, peer.Address, state, peer.Reachable ? Bytes.Text(peer.MemoryAvailable) : "-", Time(peer.Since), peer.Why);
            }

            table.WriteTo(output);
        }

        foreach (WatchedNode watch in status.Watches.Where(watch => watch.Phase == WitnessPhase.Watching))
            output.WriteLine($"\nwatching the power of {watch.Node} since {Time(watch.Started)}, until {Time(watch.Until)}: {watch.Detail}");

        if ((status.Evacuation ?? status.LastEvacuation) is { } report)
        {
            output.WriteLine();
            Report(report, output);
        }

        if (status.Homecoming is { Ended: { } home } last && !(status.LastEvacuation?.Ended > home) && status.Evacuation is null)
            output.WriteLine($"\nlast homecoming, at {Time(home)}: {ShowHomecoming.Summary(last)}; \"evacuator report --homecoming\" shows all of it");
    }

    public static void Report(EvacuationReport report, TextWriter output)
    {
        output.WriteLine($"evacuation {report.Id:D} of {report.Node}");
        output.WriteLine($"  {Words.Of(report.State).ToUpperInvariant()}: {Once(report.Summary, report, "below")}");
        if (report.Next.Length > 0)
            output.WriteLine($"  next: {report.Next}");
        output.WriteLine($"  why: {report.Reason}{(report.Ticket is { } ticket ? $" [{ticket}]" : "")}, asked by {report.RequestedBy}{(report.CancelledBy is { } by ? $", cancelled by {by}" : "")}");
        output.WriteLine($"  from {Time(report.Started)}{(report.Ended is { } ended ? $" to {Time(ended)}" : "")}, {Seconds(report.TotalSeconds)}");
        if (report.EtaSeconds is { } eta)
            output.WriteLine($"  the moves will take about {Seconds(eta)} more, as those so far tell");
        if (report.Deadline is { } deadline && !report.State.IsEnd())
            output.WriteLine($"  at {Time(deadline)} containers that may be stopped are, and the others stay");
        if (report.Waiting is { } waiting)
            output.WriteLine($"  {Wait(waiting)}");
        if (report.Containers.Count > 0)
        {
            output.WriteLine();
            TextTable table = new("CONTAINER", "TO", "STATE", "SIZE", "SENT", "ROUNDS", "FROZEN", "");
            foreach (ContainerMove move in report.Containers)
            {
                table.Add(move.Name, move.To ?? "-", State(move), move.Size > 0 ? Bytes.Text(move.Size) : "-", move.BytesSent > 0 ? Bytes.Text(move.BytesSent) : "-", move.Rounds > 0 ? move.Rounds.ToString(CultureInfo.InvariantCulture) : "-",
                    move.FreezeMs is { } ms ? string.Create(CultureInfo.InvariantCulture, $"{ms:0} ms") : "-", Remark(move));
            }

            table.WriteTo(output, "  ");
            output.WriteLine();
        }

        foreach (ExcludedPeer peer in report.ExcludedPeers)
            output.WriteLine($"  left out: {peer.Name}: {peer.Reason}");
        if (report.Emptiness.Looks.Count > 0)
        {
            EmptinessReport look = report.Emptiness.Looks[^1];
            output.WriteLine(report.Emptiness.Passed
                ? $"  empty: proven twice, {look.Checks.Count} checks ({string.Join(", ", look.Checks.Select(check => check.Name))})"
                : "  NOT EMPTY:");
            if (!report.Emptiness.Passed)
            {
                foreach (EmptinessCheck check in look.Checks.Where(check => !check.Passed))
                {
                    output.WriteLine($"    {check.Name}:");
                    foreach (string left in check.Left)
                        output.WriteLine($"      {left}");
                }
            }
        }

        if (report.Power.Requested)
        {
            output.WriteLine(report.Power switch
            {
                { VerifiedBy: { } witness } power => $"  power: {power.State}, seen by {witness} on the BMC at {Time(power.VerifiedAt ?? report.Started)}{(power.Forced ? ", after it was forced off" : "")}",
                { Witness: { } witness } => $"  power: not verified so far; {witness} watches the BMC",
                _ => "  power: not switched off",
            });
            if (report.Power.Certificate is not null)
                output.WriteLine($"  signed by {report.Power.VerifiedBy}: \"evacuator report --verify {report.Id:D}\" checks it");
            output.WriteLine($"  locator LED: {report.Led ?? "not touched"}");
            if (report is { State: EvacuationPhase.Done, Power.VerifiedBy: not null })
                output.WriteLine(report.Power.SafeToPull
                    ? $"  SAFE TO PULL{(report.Fault is { } fault ? $": {fault.Part}, at {fault.Location ?? "a place that the BMC does not tell"}" : "")}"
                    : $"  NOT SAFE TO PULL any more: {report.Node} has been switched on since");
        }

        if (report.ReturnProblem.Length > 0)
            output.WriteLine($"  NOT RETURNED: {report.ReturnProblem}");
        foreach (string note in report.Notes)
            output.WriteLine($"  note: {Once(note, report)}");
    }

    /// <summary>Without what stands in the table beside its container anyway: reasons are long, and the summary and the notes repeat them for those who read nothing else.</summary>
    internal static string Once(string text, EvacuationReport report, string where = "above")
    {
        foreach (ContainerMove move in report.Containers.Where(move => move.Detail.Length > LongReason && !move.State.Equals(MovePhase.Moved)).OrderByDescending(move => move.Detail.Length))
            text = text.Replace($": {move.Detail}", $" (why: {where})", StringComparison.Ordinal);
        return text;
    }

    public static void Plan(PlanReply reply, TextWriter output)
    {
        output.WriteLine($"PLAN (nothing is done): {reply.Summary}");
        Obstacles(reply.Obstacles, output);
        if (reply.Plan.Containers.Count > 0)
        {
            output.WriteLine();
            TextTable table = new("CONTAINER", "MEMORY", "DISK", "PRIORITY", "TO", "HOW", "FREEZE LIMIT", "ROUNDS", "TIME", "FREEZE", "");
            foreach (PlannedContainer planned in reply.Plan.Containers)
            {
                table.Add(planned.Container.Name, Bytes.Text(planned.Container.MemoryBytes), Bytes.Text(planned.Container.DiskBytes),
                    planned.Priority.ToString(CultureInfo.InvariantCulture), planned.Destination ?? "STAYS",
                    planned.Destination is null ? "-" : planned.Mode == MoveMode.Live ? "live" : "STOPPED",
                    planned.Destination is null || planned.Mode != MoveMode.Live ? "-" : Common.Configuration.Duration.Format(TimeSpan.FromMilliseconds(planned.FreezeBudgetMs)),
                    planned.Prediction?.Rounds?.ToString(CultureInfo.InvariantCulture) ?? "-", planned.Prediction?.Seconds is { } seconds ? Seconds(seconds) : "-",
                    planned.Prediction?.FreezeMs is { } freeze ? string.Create(CultureInfo.InvariantCulture, $"{freeze:0} ms") : "-",
                    planned.Destination is null ? string.Join("; ", planned.Blockers.Select(blocker => $"{blocker.Text} [{Words.Of(blocker.Code)}]")) : planned.ModeReason);
            }

            table.WriteTo(output, "  ");
            foreach (PlannedContainer planned in reply.Plan.Containers)
                foreach (string mistake in planned.Mistakes)
                    output.WriteLine($"  {planned.Container.Name}: {mistake}");
            output.WriteLine("  freeze limit: the longest it is allowed to stand still, past which its move is undone; freeze: what is predicted");
            foreach (IGrouping<string, string> basis in reply.Plan.Containers.Where(planned => planned.Prediction is not null)
                .GroupBy(planned => planned.Prediction!.Basis, planned => planned.Container.Name))
                output.WriteLine($"  {string.Join(", ", basis)}: predicted from {basis.Key}");
        }

        if (reply.Plan.Peers.Count > 0)
        {
            output.WriteLine();
            TextTable table = new("PEER", "FREE NOW", "FREE AFTER", "GETS");
            foreach (PeerAfterwards peer in reply.Plan.Peers)
                table.Add(peer.Name, Bytes.Text(peer.FreeBefore), Bytes.Text(peer.FreeAfter), peer.Containers.ToString(CultureInfo.InvariantCulture));
            table.WriteTo(output, "  ");
        }

        if (reply.Plan.Missing is { } missing)
        {
            output.WriteLine(missing.Amounts is { Length: > 0 } amounts
                ? $"  MISSING for {string.Join(", ", missing.Containers)}: {amounts}"
                : $"  NO PLACE for {string.Join(", ", missing.Containers)}, for the reason beside it");
            foreach (string source in missing.Sources)
                output.WriteLine($"    would help: {source}");
        }

        foreach (ExcludedPeer peer in reply.Plan.ExcludedPeers)
            output.WriteLine($"  left out: {peer.Name}: {peer.Reason} [{Words.Of(peer.Code)}]");
    }

    private static void Obstacles(IReadOnlyList<string> obstacles, TextWriter output)
    {
        foreach (string obstacle in obstacles)
            output.WriteLine($"  WOULD NOT BE EMPTY: {obstacle}");
    }

    public static void Bmc(BmcReport bmc, TextWriter output)
    {
        output.WriteLine(bmc.State switch
        {
            "none" => "  BMC: none configured",
            "ok" => $"  BMC: {bmc.Url} answers since {Time(bmc.Since)}, power {bmc.PowerState}",
            "not-asked" => $"  BMC: {bmc.Url}, not asked so far",
            _ => $"  BMC: {bmc.Url}: CANNOT TELL since {Time(bmc.Since)}: {bmc.Detail}",
        });
        foreach (string signal in bmc.Signals)
            output.WriteLine($"  SIGNAL {signal}");
    }

    public static string Wait(Waiting waiting) =>
        $"waits for {waiting.For}, since {Time(waiting.Since)}{(waiting.Until is { } until ? $", until {Time(until)}" : "")}; then: {waiting.Next}";

    public static string State(ContainerMove move) => move.State == MovePhase.Moving && move.Step is { } step ? Words.Of(step) : Words.Of(move.State);

    private static string Remark(ContainerMove move)
    {
        if (move.Waiting is { } waiting)
            return Wait(waiting);
        string tried = move.Rungs.Count == 0 ? "" : $"tried before: {string.Join("; ", move.Rungs.Select((rung, index) => Tried(rung, Told(move, index))))}";
        if (move.State is MovePhase.Moved)
            return string.Join("; ", ((string[])[move.Detail, move.Mode == MoveMode.Live ? HowItWent(move) : "STOPPED here and started there", Dumped(move), tried]).Where(part => part.Length > 0));
        return tried.Length == 0 ? move.Detail : $"{move.Detail} ({tried})";
    }

    /// <summary>Whether the reason of this try has been told already: by the container itself, or by an earlier try.</summary>
    private static bool Told(ContainerMove move, int index) => move.Detail == move.Rungs[index].Detail || move.Rungs.Take(index).Any(earlier => earlier.Detail == move.Rungs[index].Detail);

    private static string Tried(Rung rung, bool told) =>
        $"{(rung.Mode == MoveMode.Live ? "live" : "stopped")} to {rung.Peer}{(rung.FreezeMs is { } ms ? string.Create(CultureInfo.InvariantCulture, $", frozen {ms:0} ms") : "")}: {(told ? "the same" : rung.Detail)}";

    /// <summary>Empty for one that went simply live.</summary>
    private static string HowItWent(ContainerMove move) => move switch
    {
        { Rung: MoveRung.PostCopy, Fetch: { } fetch } => string.Create(CultureInfo.InvariantCulture,
            $"post-copy: {Bytes.Text(fetch.Bytes)} fetched in {fetch.Seconds:0.0} s after it ran there, {fetch.Waits} pages waited for, one for {fetch.LongestWaitMs:0} ms ({move.RungReason})"),
        { Rung: MoveRung.LiveSlowed } => $"live, slowed ({move.RungReason})",
        _ => "",
    };

    private static string Dump(DumpReport dump)
    {
        string tried = dump.At is { } at ? string.Create(CultureInfo.InvariantCulture, $", tried {Time(at)} in {dump.Milliseconds:0} ms") : "";
        return dump.Rung switch
        {
            DumpRung.None => "dump: being tried",
            DumpRung.Shim => $"dump: shim {dump.Shim[..Math.Min(8, dump.Shim.Length)]} in CRIU {dump.Criu}{tried}",
            DumpRung.LazyPages => $"dump: SLOWER, --lazy-pages of CRIU {dump.Criu}{tried}: containers stand still for 0.1 s more a GiB ({dump.Reason})",
            _ => $"dump: SLOWEST, plain{(dump.Criu.Length > 0 ? $" CRIU {dump.Criu}" : "")}: containers stand still for as long as all of their memory takes ({dump.Reason})",
        };
    }

    /// <summary>Empty for the best way and for one that is not known.</summary>
    private static string Dumped(ContainerMove move) => move.Dump is DumpRung.LazyPages or DumpRung.Plain
        ? $"dumped {(move.Dump == DumpRung.Plain ? "whole while it stood still" : "with --lazy-pages")} ({move.DumpReason})"
        : "";

    /// <summary>Times of day in UTC, as the journal has them; with the date unless it is today's report that is read anyway.</summary>
    public static string Time(DateTimeOffset? time) => time is { } known ? known.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture) : "?";

    public static string Seconds(double seconds) => seconds < 120
        ? string.Create(CultureInfo.InvariantCulture, $"{seconds:0.0} s")
        : Common.Configuration.Duration.Format(TimeSpan.FromSeconds(Math.Round(seconds)));
}
