using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Events;

/// <summary>A log that can be read: its name and its collection of entries.</summary>
/// <param name="Id">Such as Sel, IML, EventLog.</param>
/// <param name="EntriesUri">The collection.</param>
/// <param name="Polled">Whether it says something about hardware; audit trails and journals do not.</param>
/// <param name="Note">Why not, or what is odd.</param>
public sealed record BmcLog(string Id, string EntriesUri, bool Polled, string Note);

/// <summary>Finds the logs of a System and of its Managers by their links.</summary>
public static class LogFinder
{
    private const int MaxPolled = 4;

    // In order of worth: what is wrong now, then hardware histories. Names as the vendors have them (Dell, Lenovo, HPE, OpenBMC, AMI, Fujitsu, Supermicro).
    private static readonly string[] Wanted = ["faultlist", "activelog", "activefaults", "iml", "sel", "eventlog", "systemeventlog", "log1", "platformlog", "event", "log"];

    // Full of log-ins, jobs and boot codes: reading them costs a BMC more than they tell.
    private static readonly string[] Unwanted = ["auditlog", "audit", "lclog", "journal", "postcodes", "dump", "crashdump", "faultlog", "sl", "iel", "dpu", "maintenancelog", "diagnosticlog", "bios", "syslog", "securitylog", "hostlogger", "ieel", "telemetry", "debugtokenservice"];

    public static async Task<(IReadOnlyList<BmcLog> Logs, IReadOnlyList<string> Warnings)> FindAsync(IResourceReader reader, string systemUri, CancellationToken cancel)
    {
        List<BmcLog> found = [];
        List<string> warnings = [];
        ReadResult system = await reader.ReadAsync(systemUri, cancel).ConfigureAwait(false);
        if (system.Resource is not { } resource)
            return ([], [$"{systemUri}: {system.Message}"]);
        List<string> services = [];
        Add(services, resource.Link("LogServices"));
        foreach (string managerUri in resource.Links("Links", "ManagedBy").Take(2))
            Add(services, (await reader.ReadAsync(RedfishUri.WithoutFragment(managerUri), cancel).ConfigureAwait(false)).Resource?.Link("LogServices"));
        foreach (string uri in services)
            await AddLogsAsync(reader, uri, found, warnings, cancel).ConfigureAwait(false);

        // The worthiest few; each further one is a request more at every poll.
        HashSet<BmcLog> chosen = [.. found.Where(l => l.Polled).OrderBy(Rank).Take(MaxPolled)];
        return ([.. found.Select(l => l.Polled && !chosen.Contains(l) ? l with { Polled = false, Note = $"only {MaxPolled} logs are polled" } : l)], warnings);
    }

    private static async Task AddLogsAsync(IResourceReader reader, string servicesUri, List<BmcLog> found, List<string> warnings, CancellationToken cancel)
    {
        CollectionResult services = await CollectionReader.ReadAsync(reader, servicesUri, new CollectionLimits(MaxPages: 2, MaxMembers: 32, ReadLinks: false), cancel).ConfigureAwait(false);
        warnings.AddRange(services.Warnings);
        foreach (RedfishResource member in services.Members)
        {
            string id = RedfishUri.LastSegment(member.Uri);
            if (Unwanted.Contains(id.ToLowerInvariant()))
            {
                found.Add(new BmcLog(id, member.Uri.TrimEnd('/') + "/Entries", false, "says nothing about hardware"));
                continue;
            }
            RedfishResource? service = member;
            if (!CollectionReader.IsExpanded(member))
            {
                ReadResult read = await reader.ReadAsync(RedfishUri.WithoutFragment(member.Uri), cancel).ConfigureAwait(false);
                service = read.Resource;
                if (service is null)
                    warnings.Add($"{member.Uri}: {read.Message}");
            }
            if (service?.Link("Entries") is not { } entries || found.Any(f => RedfishUri.Same(f.EntriesUri, entries)))
                continue;
            bool enabled = service.Flag("ServiceEnabled") != false;
            found.Add(new BmcLog(service.Id ?? id, entries, enabled, enabled ? "" : "the service has switched it off"));
        }
    }

    // Unknown names come last: better read than missed.
    private static int Rank(BmcLog log) => Array.IndexOf(Wanted, log.Id.ToLowerInvariant()) is >= 0 and int rank ? rank : Wanted.Length;

    private static void Add(List<string> uris, string? uri)
    {
        if (uri is not null && !uris.Any(u => RedfishUri.Same(u, uri)))
            uris.Add(uri);
    }
}
