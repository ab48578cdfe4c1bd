using System.CommandLine;
using System.Globalization;
using Evacuator.Evacuation;
using Evacuator.Redfish.Health;

namespace Evacuator.Cli.Bmc;

internal static class ProbeVerb
{
    private static readonly TimeSpan DefaultLimit = TimeSpan.FromMinutes(15);

    public static Command Create()
    {
        BmcTarget.Choice choice = new();
        Option<TimeSpan?> limit = CliOptions.DurationOption("--timeout", "What is not read within this is reported as not known. Default 15min.");
        limit.HelpName = "DURATION";
        Option<bool> json = CliOptions.Json();
        return Verb.Create("probe", "Reads any Redfish service and shows what is understood of it; changes nothing. Exit code 0 if it could be read, however ill the machine is.", async (context, token) =>
        {
            BmcTarget target = await BmcTarget.FromAsync(context, choice, TimeProvider.System, token).ConfigureAwait(false);
            ProbeReport report = await new BmcProbe(target, context.Get(limit) ?? DefaultLimit, TimeProvider.System, new Random()).RunAsync(token).ConfigureAwait(false);
            if (context.Get(json))
                context.WriteJson(report);
            else
                Write(report, context.Out);
            return CliExit.Ok;
        }, choice.With(limit, json));
    }

    private static void Write(ProbeReport report, TextWriter output)
    {
        output.WriteLine($"service   {Words(report.Service.Vendor, report.Service.Product)}, Redfish {report.Service.Version ?? "of unknown version"}");
        output.WriteLine(report.System is { } system
            ? $"machine   {system.Id}: {Words(system.Manufacturer, system.Model)}, serial {system.Serial ?? "?"}, UUID {system.Uuid ?? "?"}, power {system.PowerState ?? "not told"}"
            : $"machine   {report.Match}");
        output.WriteLine($"verdict   {report.Verdict}");
        foreach (ProbedSignal signal in report.Signals)
        {
            output.WriteLine($"  {signal.Severity.ToUpperInvariant()} {signal.Kind}{(signal.Predicted ? " (predicted)" : "")} of {signal.Component} {signal.Location}");
            output.WriteLine($"    {signal.Text}{(signal.MessageId is { } id ? $" [{id}]" : "")}");
            output.WriteLine($"    {signal.Evidence}");
        }

        output.WriteLine($"known     {Areas(report, AreaState.Known)}");
        output.WriteLine($"unknown   {Areas(report, AreaState.CannotTell)}");
        output.WriteLine($"power     graceful {report.Power.Graceful ?? "impossible"}, forced {report.Power.Force ?? "impossible"} ({string.Join(", ", report.Power.ResetTypes)})");
        output.WriteLine($"LED       {(report.Led.Property is { } property ? $"{property} = {report.Led.Value}" : "none")}");
        output.WriteLine($"events    {report.Events.Mode}: {report.Events.Reason}");
        output.WriteLine($"logs      {(report.Logs.Count == 0 ? "none" : string.Join(", ", report.Logs.Select(log => log.Polled ? log.Id : $"({log.Id})")))}");
        foreach (string warning in report.Warnings)
            output.WriteLine($"warning   {warning}");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{report.Requests} requests in {report.ElapsedMs / 1000.0:0.0} s"));
    }

    private static string Areas(ProbeReport report, AreaState state)
    {
        string[] names = [.. report.Areas.Where(area => area.State == state).Select(area => Evacuation.Words.Of(area.Area))];
        return names.Length == 0 ? "nothing" : string.Join(", ", names);
    }

    private static string Words(params string?[] parts) => parts.OfType<string>().ToArray() is { Length: > 0 } known ? string.Join(' ', known) : "of unknown make";
}
