using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Health;

/// <summary>
/// Reads a machine to its leaves and says what is wrong with it. The health that systems, chassis and subsystems sum up only points the way: what counts is what
/// the parts say, one request per resource, one at a time.
/// </summary>
/// <remarks>
/// 1. The service root and the chosen systems.
/// 2. Under each system: memory, processors, storage, PCIe devices.
/// 3. The chassis of these systems, by every link there is.
/// 4. Under each chassis: power, cooling, sensors, drives, adapters.
/// 5. The managers, and the lists of active faults that some keep.
/// 6. What conditions and active faults say about parts, each judged by the state of its part.
/// </remarks>
public sealed partial class HealthWalk
{
    public const string ServiceRoot = "/redfish/v1/";

    private readonly HealthWalkOptions _options;
    private readonly HealthFindings _findings = new();
    private readonly WalkReader _reader;
    private readonly CancellationToken _cancel;
    private readonly List<Claim> _claims = [];

    private HealthWalk(IResourceReader reader, HealthWalkOptions options, TimeProvider clock, CancellationToken cancel)
    {
        _options = options;
        _reader = new WalkReader(reader, options, _findings, clock);
        _cancel = cancel;
    }

    /// <summary>One walk. It never throws for what the service sends; what could not be read is in the reading.</summary>
    /// <param name="reader">Where resources come from.</param>
    /// <param name="scope">Which systems are the machine.</param>
    /// <param name="options">Bounds and thresholds; null for the defaults.</param>
    /// <param name="clock">Ours: the BMC's is not believed.</param>
    /// <param name="cancel">Ends the walk with an exception.</param>
    public static async Task<HealthReading> RunAsync(IResourceReader reader, HealthScope scope, HealthWalkOptions? options, TimeProvider clock, CancellationToken cancel)
    {
        HealthWalk walk = new(reader, options ?? HealthWalkOptions.Default, clock, cancel);
        await walk.WalkAsync(scope);
        return walk._findings.Build(clock.GetUtcNow(), walk._reader.Requests);
    }

    /// <summary>
    /// Reads some parts only, after an event about them: a request or two each instead of a whole walk. What it does not cover, it says nothing about.
    /// </summary>
    /// <param name="reader">Where resources come from.</param>
    /// <param name="uris">The parts: a URI that names no part (a system, a log entry) is left to the next whole walk.</param>
    /// <param name="options">Bounds and thresholds; null for the defaults.</param>
    /// <param name="clock">Ours.</param>
    /// <param name="cancel">Ends it with an exception.</param>
    public static async Task<HealthReading> RereadAsync(IResourceReader reader, IEnumerable<string> uris, HealthWalkOptions? options, TimeProvider clock,
        CancellationToken cancel)
    {
        HealthWalk walk = new(reader, options ?? HealthWalkOptions.Default, clock, cancel);
        foreach (string uri in uris)
            await walk.JudgeAsync(uri, HealthArea.System);
        await walk.SettleClaimsAsync();
        HealthReading reading = walk._findings.Build(clock.GetUtcNow(), walk._reader.Requests);
        // A system or chassis was only looked at, not walked.
        IEnumerable<ComponentReading> parts = reading.Components.Where(part => part.Kind is not (ComponentKind.System or ComponentKind.Chassis));
        return reading with { Covered = parts.Select(part => RedfishUri.Key(part.Evidence)).ToHashSet() };
    }

    private async Task WalkAsync(HealthScope scope)
    {
        // 1.
        RedfishResource? root = await ReadAsync(HealthArea.System, ServiceRoot);
        List<RedfishResource> systems = [];
        foreach (string uri in scope.Systems)
            if (await ReadAsync(HealthArea.System, uri) is { } system)
                systems.Add(system);
            else
                _findings.Doubt(HealthArea.System, $"{uri}: the system could not be read");
        // 2.
        foreach (RedfishResource system in systems)
            await SystemAsync(system);
        // 3.
        IReadOnlyList<RedfishResource> chassis = await ChassisOfAsync(root, systems, scope.IsOnlyMachine);
        // 4.
        foreach (RedfishResource each in chassis)
            await ChassisAsync(each);
        // 5.
        await ManagersAsync(root, systems, scope.IsOnlyMachine);
        foreach (RedfishResource owner in systems.Concat(chassis))
            await ActiveFaultsAsync(owner);
        // 6.
        await SettleClaimsAsync();
    }

    private async Task SystemAsync(RedfishResource system)
    {
        Part part = _findings.Observe(HealthArea.System, ComponentKind.System, system, out _, isRollup: true);
        _findings.Rollup(null, system);
        if (system.Text("PowerState")?.Equals("Off", StringComparison.OrdinalIgnoreCase) == true)
            _findings.Warn($"{system.Uri}: the system is off; many services then say nothing about its parts");
        Conditions(system, part);
        HpeAggregate(system, part);
        await MemoryAsync(system);
        await ProcessorsAsync(system);
        await StorageAsync(system);
        foreach (RedfishResource device in await MembersAsync(HealthArea.Pcie, system, "PCIeDevices"))
            Leaf(HealthArea.Pcie, ComponentKind.PcieDevice, device);
    }

    /// <summary>A part that says how it is by Status alone.</summary>
    private Part Leaf(HealthArea area, ComponentKind kind, RedfishResource resource)
    {
        Part part = _findings.Observe(area, kind, resource, out bool isNew);
        if (isNew)
            Status(part, resource);
        return part;
    }

    /// <summary>Status.Health and Status.Conditions of a part.</summary>
    private void Status(Part part, RedfishResource resource)
    {
        if (part.Health == SignalSeverity.Warning)
            part.Raise(SignalKind.Degraded, SignalSeverity.Warning, "Health is Warning");
        else if (part.Health == SignalSeverity.Critical)
            part.Raise(SignalKind.Failed, SignalSeverity.Critical, "Health is Critical");
        else if (part is { Health: SignalSeverity.None, Presence: Presence.Present } && SignalSeverities.Parse(resource.Text("Status", "HealthRollup")) == SignalSeverity.Critical)
            _findings.Doubt(part.Area, $"{part.Uri}: {part.Name} says nothing of its own health, and Critical of what is below it");
        Conditions(resource, part);
    }

    private async Task<RedfishResource?> ReadAsync(HealthArea area, string uri)
    {
        _reader.Area = area;
        string plain = RedfishUri.WithoutFragment(uri);
        return plain.Length == 0 ? null : (await _reader.ReadAsync(plain, _cancel)).Resource;
    }

    /// <summary>The resource that a property links to, or that stands in its place; null where there is none.</summary>
    private async Task<RedfishResource?> FollowAsync(HealthArea area, RedfishResource owner, params string[] path)
    {
        if (owner.Child(path) is { } child && CollectionReader.IsExpanded(child))
            return child;
        return owner.Link(path) is { } link ? await ReadAsync(area, link) : null;
    }

    /// <summary>
    /// The resources that a property lists, in any of the ways seen: a link to a collection, an array of links, an array of resources, a collection or resource in its place.
    /// </summary>
    private async Task<IReadOnlyList<RedfishResource>> MembersAsync(HealthArea area, RedfishResource owner, params string[] path)
    {
        _reader.Area = area;
        List<RedfishResource> members = [];
        foreach (RedfishResource item in owner.ItemsOrLinks(path))
        {
            RedfishResource? resource = item;
            if (!CollectionReader.IsExpanded(item))
            {
                string? link = item.Link("@odata.id");
                resource = link is null ? null : await ReadAsync(area, link);
                // One of several is a part that is said to be there; a single link may lead to a collection that this service does not have.
                if (resource is null && link is not null && owner.IsList(path))
                    _findings.ListedButMissing(area, link);
            }
            if (resource is null)
                continue;
            if (!IsCollection(resource))
            {
                members.Add(resource);
                continue;
            }
            CollectionResult collection = await CollectionReader.ReadAsync(_reader, resource, null, _cancel);
            members.AddRange(collection.Members);
            if (resource.ItemsOrLinks("Members").Count > 0)
                _findings.ListsMembers(area);
            foreach (string warning in collection.Warnings)
                _findings.Warn(warning);
            foreach (string missing in collection.Missing)
                _findings.ListedButMissing(area, missing);
            if (!collection.Complete)
                _findings.Doubt(area, $"{resource.Uri}: not read to its end");
        }
        return members;
    }

    /// <summary>What a property of the root lists; where the root has no such property, what stands at the place that the standard names for it.</summary>
    private async Task<IReadOnlyList<RedfishResource>> RootMembersAsync(HealthArea area, RedfishResource root, string name)
    {
        if (root.Mentions(name))
            return await MembersAsync(area, root, name);
        return await ReadAsync(area, ServiceRoot + name) is { } collection
            ? (await CollectionReader.ReadAsync(_reader, collection, null, _cancel)).Members
            : [];
    }

    private static bool IsCollection(RedfishResource resource) =>
        resource.Mentions("Members") || resource.ODataType?.EndsWith("Collection", StringComparison.OrdinalIgnoreCase) == true;
}
