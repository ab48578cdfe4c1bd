using System.CommandLine;
using System.Text.Json;
using Evacuator.Api;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Homecoming;
using Evacuator.Power;

namespace Evacuator.Cli;

internal static class ReportVerb
{
    public static Command Create()
    {
        Argument<Guid?> id = new("ID")
        {
            Description = "Id of the evacuation, or of the homecoming, as --list shows it; without it the newest of this node or that this node witnessed.",
            Arity = ArgumentArity.ZeroOrOne,
            CustomParser = CliOptions.ParseUuid,
        };
        Option<bool> json = CliOptions.Json();
        Option<bool> verify = new("--verify") { Description = "Check the witness's signature against the fleet's authority. Exit code 1 if it is not good, or missing." };
        Option<FileInfo?> from = new("--from") { Description = "A report that was kept, as --json wrote it, instead of asking the service.", HelpName = "FILE" };
        Option<bool> home = new("--homecoming") { Description = "The last homecoming to this node instead: who came back, from where, how long it was frozen, who stayed and why." };
        Option<bool> list = new("--list") { Description = "The evacuations and homecomings that this node knows instead, newest first." };
        Option<FileInfo?> authority = new("--ca") { Description = "With --verify: the authority's certificate, instead of the one of this host's fleet.", HelpName = "FILE" };
        return Verb.Create("report", "Shows how an evacuation went: per container, proof of emptiness, power. A witness has the reports of nodes that are off.", async (context, token) =>
        {
            if (context.Get(authority) is not null && !context.Get(verify))
                throw new CliException(CliExit.Usage, "--ca goes with --verify only: without it nothing is checked");
            if (context.Get(list))
            {
                if (context.Get(verify) || context.Get(from) is not null || context.Get(home) || context.Get(id) is not null)
                    throw new CliException(CliExit.Usage, "--list goes with --json only");
                await ReportList.WriteAsync(context, context.Get(json), token).ConfigureAwait(false);
                return CliExit.Ok;
            }

            if (context.Get(home))
            {
                if (context.Get(verify) || context.Get(from) is not null)
                    throw new CliException(CliExit.Usage, "--homecoming goes with --json and an ID only: nobody signs a homecoming");
                await WriteHomecomingAsync(context, context.Get(id), context.Get(json), token).ConfigureAwait(false);
                return CliExit.Ok;
            }

            // A person who has an id need not know of what.
            if (context.Get(id) is { } asked && context.Get(from) is null && !context.Get(verify) && await IsHomecomingAsync(context, asked, token).ConfigureAwait(false))
            {
                await WriteHomecomingAsync(context, asked, context.Get(json), token).ConfigureAwait(false);
                return CliExit.Ok;
            }

            EvacuationReport report = context.Get(from) is { } file ? await ReadAsync(file.FullName, token).ConfigureAwait(false) : await AskAsync(context, context.Get(id), token).ConfigureAwait(false);
            if (context.Get(id) is { } wanted && report.Id != wanted)
                throw new CliException(CliExit.Refused, $"the report is of evacuation {report.Id:D}");
            if (context.Get(verify))
                return Verify(context, report, context.Get(authority)?.FullName);
            if (context.Get(json))
                context.WriteJson(report);
            else
                Show.Report(report, context.Out);
            if (!context.Get(json) && context.Get(from) is null && context.Get(id) is null)
                await MentionHomecomingAsync(context, report, token).ConfigureAwait(false);
            return CliExit.Ok;
        }, id, json, home, list, verify, from, authority);
    }

    /// <summary>Whether it is the id of a homecoming and of no evacuation; one that brings back what a cancelled evacuation had moved has the id of that.</summary>
    private static async Task<bool> IsHomecomingAsync(VerbContext context, Guid id, CancellationToken token)
    {
        using BrainClient client = context.Connect();
        try
        {
            await client.GetAsync<EvacuationReport>($"{ApiRoutes.Evacuations}/{id:D}", token).ConfigureAwait(false);
            return false;
        }
        catch (CliException e) when (e.ExitCode == CliExit.Refused)
        {
            try
            {
                await client.GetAsync<HomecomingState>($"{ApiRoutes.Homecomings}/{id:D}", token).ConfigureAwait(false);
                return true;
            }
            catch (CliException unknown) when (unknown.ExitCode == CliExit.Refused)
            {
                return false;
            }
        }
    }

    private static async Task WriteHomecomingAsync(VerbContext context, Guid? id, bool json, CancellationToken token)
    {
        using BrainClient client = context.Connect();
        HomecomingState state = await client.GetAsync<HomecomingState>($"{ApiRoutes.Homecomings}/{(id is { } known ? known.ToString("D") : "last")}", token).ConfigureAwait(false);
        if (json)
            context.WriteJson(state);
        else
            ShowHomecoming.State(state, context.Out);
    }

    /// <summary>Whoever has just brought containers home and asks for "the report" means that.</summary>
    private static async Task MentionHomecomingAsync(VerbContext context, EvacuationReport report, CancellationToken token)
    {
        using BrainClient client = context.Connect();
        NodeStatus status = await client.GetAsync<NodeStatus>(ApiRoutes.Status, token).ConfigureAwait(false);
        if (status.Homecoming is { } last && last.Started > report.Started)
            context.Out.WriteLine($"\nhomecoming since, at {Show.Time(last.Started)}: {ShowHomecoming.Summary(last)}; \"evacuator report --homecoming\" shows all of it");
        // A second start on an emptied host hides the report that somebody looks for.
        if (await client.GetAsync<List<EvacuationReport>>($"{ApiRoutes.Evacuations}?limit=2", token).ConfigureAwait(false) is [_, var before])
            context.Out.WriteLine($"\nthe one before: {before.Id:D}, of {before.Node} at {Show.Time(before.Started)}; \"evacuator report --list\" shows all");
    }

    private static async Task<EvacuationReport> AskAsync(VerbContext context, Guid? id, CancellationToken token)
    {
        using BrainClient client = context.Connect();
        string which = id is { } known ? known.ToString("D") : "last";
        return await client.GetAsync<EvacuationReport>($"{ApiRoutes.Evacuations}/{which}", token).ConfigureAwait(false);
    }

    private static async Task<EvacuationReport> ReadAsync(string path, CancellationToken token)
    {
        try
        {
            await using FileStream stream = File.OpenRead(path);
            return await JsonSerializer.DeserializeAsync<EvacuationReport>(stream, ApiJson.Options, token).ConfigureAwait(false) ?? throw new JsonException("it is empty");
        }
        catch (JsonException e)
        {
            throw new CliException(CliExit.Failed, $"{path}: is not the report of an evacuation as \"evacuator report --json\" writes it{(e.LineNumber is { } line ? $" (line {line + 1})" : "")}", e);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CliException(CliExit.Failed, $"{path}: there is no such file", e);
        }
        catch (UnauthorizedAccessException e) when (Directory.Exists(path))
        {
            throw new CliException(CliExit.Failed, $"{path}: is a directory, not a report", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new CliException(CliExit.NoPermission, $"{path}: you may not read it", e);
        }
        catch (IOException e)
        {
            throw new CliException(CliExit.Failed, $"{path}: cannot be read: {e.Message}", e);
        }
    }

    private static int Verify(VerbContext context, EvacuationReport report, string? authorityFile)
    {
        if (report.Power.Certificate is not { } certificate)
        {
            string why = (report.Power.Requested, report.Power.VerifiedBy) switch
            {
                (false, _) => $"{report.Node} was not to be powered off: nobody watched it",
                (_, null) => $"nobody has seen {report.Node} off",
                (_, { } witness) => $"{witness} saw {report.Node} off and has not signed it: its release is an earlier one",
            };
            throw new CliException(CliExit.Failed, $"nothing to verify: {why}");
        }

        FleetRoster? roster = null;
        string path = authorityFile ?? "";
        if (authorityFile is null)
        {
            ConfigurationResult configuration = ConfigurationLoader.Load(context.ConfigurationFile);
            if (configuration.Options is not { } options)
                throw new CliException(CliExit.Configuration, string.Join('\n', configuration.Mistakes));
            path = Path.Combine(options.Fleet.TlsDirectory, "ca.crt");
            roster = FleetMembers.Load(options).Value?.Roster?.Roster;
        }

        WitnessCheck check;
        try
        {
            check = certificate.Check(report.Id, report.Node, FleetAuthorities.FromFile(path), roster);
        }
        catch (FleetSetupException e)
        {
            throw new CliException(CliExit.Failed, e.Message, e);
        }

        if (check.Statement is null)
            throw new CliException(CliExit.Failed, $"NOT GOOD: {check.Text}");
        context.Out.WriteLine($"GOOD: {check.Text}");
        if (check.Note.Length > 0)
            context.Out.WriteLine($"  but: {check.Note}");
        return CliExit.Ok;
    }
}
