using Evacuator.Redfish.Health.Messages;
using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Health;

// Managers, conditions, and the lists of active faults: what messages say about parts.
public sealed partial class HealthWalk
{
    /// <summary>The logs that hold what is wrong now (Dell, Lenovo). All others hold history, and history is no state.</summary>
    private static readonly string[] ActiveFaultLists = ["faultlist", "activelog", "activefaults", "activealerts"];

    /// <summary>A message that says something about a part that the walk may meet only later.</summary>
    private sealed record Claim(MessageMeaning Meaning, string? MessageId, string? Origin, string Evidence, string? Place, string Text);

    private async Task ManagersAsync(RedfishResource? root, List<RedfishResource> systems, bool isOnlyMachine)
    {
        List<RedfishResource> managers = [];
        foreach (RedfishResource system in systems)
            managers.AddRange(await MembersAsync(HealthArea.Managers, system, "Links", "ManagedBy"));
        if (managers.Count == 0 && isOnlyMachine && root is not null)
            managers.AddRange(await RootMembersAsync(HealthArea.Managers, root, "Managers"));
        foreach (RedfishResource manager in managers)
        {
            _ = Leaf(HealthArea.Managers, ComponentKind.Manager, manager);
            await ActiveFaultsAsync(manager);
        }
    }

    private async Task ActiveFaultsAsync(RedfishResource owner)
    {
        if (owner.Link("LogServices") is not { } link)
            return;
        _reader.Area = HealthArea.Faults;
        CollectionResult services = await CollectionReader.ReadAsync(_reader, link, new CollectionLimits(ReadLinks: false), _cancel);
        foreach (RedfishResource member in services.Members)
        {
            if (!ActiveFaultLists.Contains(RedfishUri.LastSegment(RedfishUri.Key(member.Uri))))
                continue;
            RedfishResource? service = CollectionReader.IsExpanded(member) ? member : await ReadAsync(HealthArea.Faults, member.Uri);
            if (service is null)
                continue;
            foreach (RedfishResource entry in await MembersAsync(HealthArea.Faults, service, "Entries"))
                ActiveFault(entry);
            _findings.ReadList(HealthArea.Faults);
        }
    }

    private void ActiveFault(RedfishResource entry)
    {
        if (entry.Flag("Resolved") == true)
            return;
        string? id = entry.Text("MessageId") ?? entry.Text("Oem", "Lenovo", "CommonEventID") ?? entry.Text("Oem", "Lenovo", "EventID");
        MessageMeaning meaning = MessageTable.Classify(id, entry.Text("Message"));
        string? origin = entry.Link("Links", "OriginOfCondition") ?? entry.Link("OriginOfCondition");
        string? place = entry.Text("Oem", "Dell", "FQDD") ?? entry.Text("Oem", "Lenovo", "Source") ?? entry.Texts("MessageArgs").FirstOrDefault();
        bool isBad = SignalSeverities.Parse(entry.Text("Severity")) >= SignalSeverity.Warning;
        if (isBad)
            _findings.ListedFault(isNuisance: meaning.Effect == MessageEffect.Ignored, $"{entry.Uri}: {id} \"{entry.Text("Message")}\"");
        if (meaning.Effect == MessageEffect.Unknown && isBad)
            _findings.Warn($"{entry.Uri}: the active fault {id} \"{entry.Text("Message")}\" is not in the table: judged by its part alone");
        _claims.Add(new Claim(meaning, id, origin, entry.Uri, place, entry.Text("Message") ?? meaning.Key.ToString()));
    }

    private void Conditions(RedfishResource carrier, Part part)
    {
        foreach (RedfishResource condition in carrier.Items("Status", "Conditions"))
        {
            string? id = condition.Text("MessageId");
            string? message = condition.Text("Message");
            MessageMeaning meaning = MessageTable.Classify(id, message);
            string? origin = condition.Link("OriginOfCondition");
            if (part.IsRollup || origin is not null && !RedfishUri.Same(origin, part.Uri))
                _claims.Add(new Claim(meaning, id, origin, carrier.Uri, condition.Texts("MessageArgs").FirstOrDefault(), message ?? meaning.Key.ToString()));
            else if (meaning.Effect == MessageEffect.Raises)
                part.Raise(KindOn(part, meaning), meaning.Severity, message ?? meaning.Key.ToString(), meaning.Predicted, messageId: id);
            else if (meaning.Effect == MessageEffect.Unknown && part.Presence == Presence.Present && SignalSeverities.Parse(condition.Text("Severity")) > part.Health)
                _findings.Warn($"{part.Uri}: the condition {id} \"{message}\" is not in the table: judged by the health of {part.Name} alone");
        }
    }

    private async Task SettleClaimsAsync()
    {
        // Judging an origin may bring up further conditions; they are settled too, up to a bound.
        for (int at = 0; at < _claims.Count && at < 1000; at++)
        {
            Claim claim = _claims[at];
            Part? part = claim.Origin is { } origin ? _findings.At(origin) ?? await JudgeAsync(origin, HealthAreas.Of(claim.Meaning.Component)) : null;
            if (claim.Meaning.Effect != MessageEffect.Raises)
                continue;
            if (part is { IsRollup: false })
                part.Raise(KindOn(part, claim.Meaning), claim.Meaning.Severity, claim.Text, claim.Meaning.Predicted, messageId: claim.MessageId);
            else if (claim.Meaning.Component != ComponentKind.Unknown && (claim.Origin is null || part is not null))
                Unlocated(claim);
            else
                _findings.Warn($"{claim.Evidence}: {claim.MessageId} \"{claim.Text}\" is about {claim.Origin ?? "no resource"}, which could not be judged");
        }
    }

    // The message names the part in its arguments only.
    private void Unlocated(Claim claim)
    {
        ComponentKind kind = claim.Meaning.Component;
        string name = claim.Place ?? kind.ToString();
        Part part = _findings.Group(HealthAreas.Of(kind), kind, $"{claim.Evidence}#{kind}/{name}", name, claim.Place);
        part.Raise(claim.Meaning.Kind, claim.Meaning.Severity, claim.Text, claim.Meaning.Predicted, evidence: claim.Evidence, messageId: claim.MessageId);
    }

    /// <summary>Reads a resource that was named by a message, and judges it as the walk would have; null when it is no part or could not be read.</summary>
    private async Task<Part?> JudgeAsync(string uri, HealthArea area)
    {
        if (await ReadAsync(area, uri) is not { } resource)
            return null;
        string type = resource.TypeName.Length > 0 ? resource.TypeName : TypeByPlace(uri);
        switch (type)
        {
            case "Memory":
                await MemoryModuleAsync(resource);
                break;
            case "Processor":
                await ProcessorAsync(resource);
                break;
            case "Drive" or "HpeSmartStorageDiskDrive":
                Drive(resource);
                break;
            case "StorageController":
                Controller(resource);
                break;
            case "PowerSupply":
                Supply(resource);
                break;
            case "Power":
                LegacyPower(resource);
                break;
            case "Thermal":
                LegacyThermal(resource);
                break;
            case "Sensor":
                Sensor(resource);
                break;
            case "LeakDetector":
                LeakDetector(resource);
                break;
            case "ComputerSystem" or "Chassis":
                return _findings.Observe(HealthArea.System, type == "Chassis" ? ComponentKind.Chassis : ComponentKind.System, resource, out _, isRollup: true);
            case var other when KindOfType(other) is { } kind:
                return Leaf(HealthAreas.Of(kind), kind, resource);
        }
        return _findings.At(uri) ?? _findings.At(resource.Uri);
    }

    // Services that send no type still keep to the places of the standard: …/Memory/DIMM1, …/Drives/0.
    private static string TypeByPlace(string uri)
    {
        string[] segments = RedfishUri.Key(uri).Split('/');
        return (segments.Length < 2 ? "" : segments[^2]) switch
        {
            "memory" => "Memory",
            "processors" => "Processor",
            "drives" => "Drive",
            "volumes" => "Volume",
            "controllers" => "StorageController",
            "powersupplies" => "PowerSupply",
            "fans" => "Fan",
            "sensors" => "Sensor",
            "batteries" => "Battery",
            "pciedevices" => "PCIeDevice",
            "networkadapters" => "NetworkAdapter",
            "systems" => "ComputerSystem",
            "chassis" => "Chassis",
            "managers" => "Manager",
            _ when segments[^1] is "power" => "Power",
            _ when segments[^1] is "thermal" => "Thermal",
            _ => "",
        };
    }

    private static ComponentKind? KindOfType(string type) => type switch
    {
        "Volume" => ComponentKind.Volume,
        "Fan" => ComponentKind.Fan,
        "Pump" => ComponentKind.Coolant,
        "Battery" => ComponentKind.Battery,
        "PCIeDevice" or "PCIeFunction" => ComponentKind.PcieDevice,
        "NetworkAdapter" => ComponentKind.NetworkAdapter,
        "Manager" => ComponentKind.Manager,
        _ => null,
    };

    // Threshold messages say above or below, not of what.
    private static SignalKind KindOn(Part part, MessageMeaning meaning)
    {
        if (meaning.Kind != SignalKind.OutOfRange || part.Kind != ComponentKind.Temperature)
            return meaning.Kind;
        bool isLow = meaning.Key.Key.Contains("Below", StringComparison.OrdinalIgnoreCase) || meaning.Key.Key.Contains("LowGoingLow", StringComparison.OrdinalIgnoreCase);
        return isLow ? SignalKind.UnderTemperature : SignalKind.OverTemperature;
    }
}
