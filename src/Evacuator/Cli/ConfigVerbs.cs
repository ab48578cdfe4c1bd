using System.CommandLine;
using Evacuator.Api;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Fleet.Etcd;
using Evacuator.Health;
using Evacuator.Power;

namespace Evacuator.Cli;

internal static class ConfigVerbs
{
    public static Command Create() => new("config", "Shows and checks the configuration.") { CreateShow(), CreateCheck() };

    private static Command CreateShow()
    {
        Option<bool> json = CliOptions.Json();
        return Verb.Create("show", "Prints the merged configuration with the file and line each value comes from; secrets stay hidden.", (context, _) =>
        {
            ConfigurationResult result = ConfigurationLoader.Load(context.ConfigurationFile);
            if (context.Get(json))
            {
                context.WriteJson(result.Values.Concat(RuleValues(result)));
            }
            else
            {
                string section = "";
                int width = result.Values.Max(value => value.Key.Length + value.Value.Length) + 3;
                foreach (ConfigurationValue value in result.Values.Concat(RuleValues(result)))
                {
                    if (value.Section != section)
                        context.Out.WriteLine($"{(section.Length > 0 ? "\n" : "")}[{section = value.Section}]");
                    context.Out.WriteLine($"{$"{value.Key} = {value.Value}".PadRight(width)}  # {value.Source}");
                }
            }

            return Task.FromResult(Report(context, [.. result.Mistakes, .. SignalRulesReader.Read(result.Rules).Mistakes, .. RehearsalSchedule.Mistakes(result, context.ConfigurationFile, TimeProvider.System.GetUtcNow())]));
        }, json);
    }

    private static IEnumerable<ConfigurationValue> RuleValues(ConfigurationResult result) =>
        result.Rules.SelectMany(rule => rule.Entries.Select(entry => new ConfigurationValue($"rule {rule.Name}", entry.Key, entry.Value, $"{entry.File}:{entry.Line}")));

    private static Command CreateCheck() => Verb.Create("check", "Checks everything the service needs: files, peers, certificates, secrets, and whether the BMC answers as configured.", async (context, token) =>
    {
        List<ConfigurationMistake> mistakes = [];
        bool bmc = false;
        ConfigurationResult result = ConfigurationLoader.Load(context.ConfigurationFile);
        mistakes.AddRange(result.Mistakes);
        mistakes.AddRange(SignalRulesReader.Read(result.Rules).Mistakes);
        mistakes.AddRange(RehearsalSchedule.Mistakes(result, context.ConfigurationFile, TimeProvider.System.GetUtcNow()));
        if (result.Options is { } options)
        {
            bmc = options.Bmc.Url.Length > 0;
            Checked<FleetMembers> members = FleetMembers.Load(options);
            mistakes.AddRange(members.Mistakes);
            Checked<FleetTls> tls = FleetTls.Load(options, FleetRole.Brain, members.Value?.Peers ?? [new Peer(options.Node.Name, "localhost")], TimeProvider.System, members.Value?.Roster);
            mistakes.AddRange(tls.Mistakes);
            tls.Value?.Dispose();
            if (options.Fleet.Store == FleetStore.Etcd)
                mistakes.AddRange(await AskEtcdAsync(result, options, context.ConfigurationFile, token).ConfigureAwait(false));
            Checked<string> password = options.Bmc.Url.Length == 0 || options.Bmc.PasswordFile.Length > 0
                ? Secrets.BmcPassword(options)
                : await new ServiceCredential().ReadAsync(token).ConfigureAwait(false);
            mistakes.AddRange(password.Mistakes);
            if (options.Bmc.Url.Length > 0 && password.Value is { Length: > 0 } && await AskBmcAsync(options, password, token).ConfigureAwait(false) is { Length: > 0 } problem)
                mistakes.Add(result.MistakeAt("bmc", "url", context.ConfigurationFile, problem));
            await WarnAsync(context, token).ConfigureAwait(false);
        }

        if (mistakes.Count == 0)
            context.Out.WriteLine(bmc
                ? "the configuration is complete and the BMC answers as configured"
                : "the configuration is complete, but names no BMC: nothing is watched, and no power-off is verified");
        return Report(context, mistakes);
    });

    private static async Task<IReadOnlyList<ConfigurationMistake>> AskEtcdAsync(ConfigurationResult result, EvacuatorOptions options, string file, CancellationToken token)
    {
        Checked<EtcdTls> loaded = EtcdTls.Load(options.Fleet);
        if (loaded.Value is not { } tls)
            return loaded.Mistakes;
        using (tls)
        {
            using EtcdClient client = new(options.Fleet.EtcdEndpoints, tls.Handler(), TimeSpan.FromSeconds(3), TimeProvider.System);
            try
            {
                await client.RangeAsync(new EtcdRangeRequest { Key = new EtcdKeys(options.Fleet.EtcdPrefix).Guard }, token).ConfigureAwait(false);
                return [];
            }
            catch (EtcdException e)
            {
                return [result.MistakeAt("fleet", "etcd-endpoints", file, e.Message)];
            }
        }
    }

    /// <summary>What the configuration may have to name and no file can show: things on this host that no move takes away. They are warnings.</summary>
    private static async Task WarnAsync(VerbContext context, CancellationToken token)
    {
        try
        {
            using BrainClient client = context.Connect();
            NodeStatus status = await client.GetAsync<NodeStatus>(ApiRoutes.Status, token).ConfigureAwait(false);
            foreach (string obstacle in status.Obstacles)
                context.Error.WriteLine($"warning: this host would not be found empty: {obstacle}");
            if (status.AgentProblem.Length > 0)
                context.Error.WriteLine($"warning: not checked whether this host could be found empty: {status.AgentProblem}");
        }
        catch (CliException e)
        {
            context.Error.WriteLine($"warning: not checked whether this host could be found empty: {e.Message}");
        }
    }

    private static async Task<string> AskBmcAsync(EvacuatorOptions options, Checked<string> password, CancellationToken token)
    {
        if (new OwnBmc(options.Bmc, () => password).Access(out string problem) is not { } access)
            return problem;
        string scratch = Directory.CreateTempSubdirectory("evacuator-check-").FullName;
        try
        {
            BmcOpening opening = await new RedfishBmcs(scratch, TimeProvider.System, new Random()).OpenAsync(access, token).ConfigureAwait(false);
            if (opening.Bmc is not { } bmc)
                return opening.Problem;
            await using (bmc.ConfigureAwait(false))
            {
                PowerLook look = await bmc.ReadPowerAsync(token).ConfigureAwait(false);
                return look.State switch
                {
                    PowerLook.Unknown => $"{options.Bmc.Url} does not tell the power state: {look.Message}",
                    PowerLook.Off => $"{options.Bmc.Url} says Off while this host runs: it is another machine's",
                    _ => "",
                };
            }
        }
        finally
        {
            Directory.Delete(scratch, recursive: true);
        }
    }

    private static int Report(VerbContext context, IReadOnlyCollection<ConfigurationMistake> mistakes)
    {
        foreach (ConfigurationMistake mistake in mistakes)
            context.Error.WriteLine(mistake.ToString());
        int code = CliExit.Of(mistakes);
        if (code == CliExit.NoPermission)
            context.Error.WriteLine("evacuator: no mistake was found, but not everything may be read: run it as root to be certain");
        return code;
    }
}
