using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Health;

/// <summary>Collects what a walk finds and makes one reading of it: merges parts that appear at two URIs, drops what does not count, and says what cannot be told.</summary>
internal sealed class HealthFindings
{
    // A tree of nothing but oddities must not grow the reading without bound.
    private const int MaxWarnings = 200;

    private sealed class Area
    {
        public List<string> Doubts { get; } = [];

        public List<string> Missing { get; } = [];

        public List<Part> Parts { get; } = [];

        public bool ListsMembers { get; set; }

        public bool IsList { get; set; }
    }

    private readonly Dictionary<HealthArea, Area> _areas = Enum.GetValues<HealthArea>().ToDictionary(area => area, _ => new Area());
    private readonly Dictionary<string, Part> _parts = [];
    private readonly List<(HealthArea? Area, string Name, SignalSeverity Health)> _rollups = [];
    private readonly List<(Part Part, string Name, bool Uncorrectable, double Value, string Evidence)> _counters = [];
    private readonly HashSet<string> _unread = [];
    private readonly List<string> _warnings = [];
    private readonly List<string> _nuisances = [];
    private readonly List<string> _faults = [];

    /// <summary>Takes note of a part; the second time at the same URI gives the first note back.</summary>
    public Part Observe(HealthArea area, ComponentKind kind, RedfishResource resource, out bool isNew, bool isRollup = false, bool isGroup = false)
    {
        string key = Identity(resource.Uri);
        isNew = !_parts.TryGetValue(key, out Part? part);
        if (part is null)
        {
            part = new Part(area, kind, resource, Locator.Of(resource)) { IsRollup = isRollup, IsGroup = isGroup };
            _parts.Add(key, part);
            _areas[area].Parts.Add(part);
        }
        return part;
    }

    /// <summary>Takes note of something without a resource of its own.</summary>
    public Part Group(HealthArea area, ComponentKind kind, string uri, string name, string? place)
    {
        string key = Identity(uri);
        if (!_parts.TryGetValue(key, out Part? part))
        {
            _parts.Add(key, part = new Part(area, kind, uri, name, place));
            _areas[area].Parts.Add(part);
        }
        return part;
    }

    /// <summary>The part noted at this URI (its fragment included), or null.</summary>
    public Part? At(string uri) => _parts.GetValueOrDefault(Identity(uri));

    /// <summary>Takes note of a health that sums up others: never a signal, but if it is Critical some part has to explain it.</summary>
    public void Rollup(HealthArea? area, RedfishResource resource)
    {
        if (Presences.Of(resource, null) is Presence.NotCounted or Presence.Transient)
            return;
        SignalSeverity health = SignalSeverities.Worse(
            SignalSeverities.Parse(StatusWords.Health(resource)), SignalSeverities.Parse(resource.Text("Status", "HealthRollup")));
        Rollup(area, resource.Uri, health);
    }

    public void Rollup(HealthArea? area, string name, SignalSeverity health)
    {
        if (health >= SignalSeverity.Warning)
            _rollups.Add((area, name, health));
    }

    public void Counter(Part part, string name, bool uncorrectable, double value, string evidence) =>
        _counters.Add((part, name, uncorrectable, value, evidence));

    public void ListsMembers(HealthArea area) => _areas[area].ListsMembers = true;

    /// <summary>A list was read in which an empty answer is an answer: nothing is wrong now.</summary>
    public void ReadList(HealthArea area) => _areas[area].IsList = true;

    /// <summary>A resource that was listed but not read. That it does not exist costs only itself; anything else leaves the area in doubt.</summary>
    public void NotRead(HealthArea area, string uri, ReadResult result)
    {
        _unread.Add(RedfishUri.Key(uri));
        string text = $"{uri}: {result.Message}";
        if (result.Outcome == ReadOutcome.NotFound)
            AddOnce(_areas[area].Missing, text);
        else
            Doubt(area, text);
    }

    /// <summary>
    /// A part that is said to be there and answers 404. It may be pulled, or the service may have lost it: either way nothing says that it is well. In areas that only
    /// list what is plugged in (PCIe, adapters, sensors) such links are everyday and cost only themselves.
    /// </summary>
    public void ListedButMissing(HealthArea area, string uri)
    {
        if (area is HealthArea.Memory or HealthArea.Processors or HealthArea.Storage or HealthArea.Power or HealthArea.Cooling)
            Doubt(area, $"{uri}: listed, but answers that it does not exist");
    }

    /// <summary>
    /// An entry of the service's own list of what is wrong now. Where that list holds nuisances only (an open cover, an empty bay), they are what makes the machine as a
    /// whole Critical.
    /// </summary>
    public void ListedFault(bool isNuisance, string text) => (isNuisance ? _nuisances : _faults).Add(text);

    public void Doubt(HealthArea area, string reason) => AddOnce(_areas[area].Doubts, reason);

    public void Warn(string warning)
    {
        if (_warnings.Count < MaxWarnings)
            AddOnce(_warnings, warning);
    }

    public HealthReading Build(DateTimeOffset now, int requests)
    {
        List<Signal> signals = [];
        foreach ((string identity, List<Part> group) in Merged())
            signals.AddRange(SignalsOf(identity, group, now));
        ExplainRollups();
        List<AreaReading> areas = [.. _areas.Select(pair => Judge(pair.Key, pair.Value))];
        List<ComponentReading> components = [.. _parts.Values.Where(part => !part.IsGroup).Select(Describe)];
        List<ErrorCounter> counters =
            [.. _counters.Select(each => new ErrorCounter(Describe(each.Part), each.Name, each.Uncorrectable, each.Value, each.Evidence))];
        return new HealthReading(now, signals, areas, components, counters, _unread, _warnings, requests);
    }

    private static void AddOnce(List<string> list, string text)
    {
        if (!list.Contains(text))
            list.Add(text);
    }

    // The fragment stays: the fans of one Thermal resource differ in nothing else. "Thermal#Fans/0" and "Thermal#/Fans/0" are the same.
    private static string Identity(string uri) => uri.Replace("#/", "#", StringComparison.Ordinal).TrimEnd('/').ToLowerInvariant();

    private static ComponentReading Describe(Part part) =>
        new(part.Kind, part.Name, part.Location, part.Uri, part.State, part.Health, part.Presence != Presence.NotCounted);

    private IEnumerable<(string Identity, List<Part> Parts)> Merged()
    {
        Dictionary<string, List<Part>> groups = [];
        HashSet<(string Group, string Body)> items = [];
        foreach (Part part in _parts.Values)
        {
            string group = $"{part.Kind} {GroupKey(part)}";
            // Two items of one array are two parts, also where the service calls both the same.
            if (part.Uri.Contains('#'))
                for (int same = 2; !items.Add((group, RedfishUri.Key(part.Uri))); same++)
                    group = $"{part.Kind} {GroupKey(part)} ({same})";
            if (!groups.TryGetValue(group, out List<Part>? parts))
                groups.Add(group, parts = []);
            parts.Add(part);
        }
        return groups.Select(pair => (pair.Key[(pair.Key.IndexOf(' ') + 1)..], pair.Value));
    }

    // A drive appears under Storage and under Chassis, a supply, fan or temperature in the deprecated resource and in its successor.
    private static string GroupKey(Part part) => part.Kind switch
    {
        ComponentKind.Drive or ComponentKind.PowerSupply or ComponentKind.NetworkAdapter or ComponentKind.PcieDevice
            or ComponentKind.StorageController when part.Location.SerialNumber is { } serial =>
            $"serial {serial.ToLowerInvariant()}",
        ComponentKind.Drive when !part.Uri.Contains('#') => $"{part.Name.ToLowerInvariant()} {RedfishUri.LastSegment(RedfishUri.Key(part.Uri))}",
        ComponentKind.PowerSupply or ComponentKind.Fan or ComponentKind.Temperature or ComponentKind.Power or ComponentKind.Sensor =>
            $"{ChassisOf(part.Uri)} {part.Name.ToLowerInvariant()}",
        // Inline in the storage resource and again in its Controllers collection, under one number.
        ComponentKind.StorageController => $"{StorageOf(part.Uri)} {part.Name.ToLowerInvariant()} {RedfishUri.LastSegment(part.Uri)}",
        _ when part.Uri.Contains('#') => $"{RedfishUri.Key(part.Uri)}#{part.Name.ToLowerInvariant()}",
        _ => Identity(part.Uri),
    };

    private static string ChassisOf(string uri) => UpTo(uri, "/chassis/");

    private static string StorageOf(string uri) => UpTo(uri, "/storage/");

    /// <summary>The URI up to the id behind the given collection; all of it where that is not in it.</summary>
    private static string UpTo(string uri, string collection)
    {
        string key = RedfishUri.Key(uri);
        int at = key.IndexOf(collection, StringComparison.Ordinal);
        if (at < 0)
            return key;
        int end = key.IndexOf('/', at + collection.Length);
        return end < 0 ? key : key[..end];
    }

    private IEnumerable<Signal> SignalsOf(string identity, List<Part> group, DateTimeOffset now)
    {
        // Without a serial number the URIs cannot both be right about the slot: one that says Absent wins (GB300 shows an empty slot as Enabled elsewhere).
        bool isOne = group[0].Kind == ComponentKind.Drive && group[0].Location.SerialNumber is null;
        if (isOne && group.Any(part => part.Presence == Presence.NotCounted))
            foreach (Part part in group)
                part.Presence = Presence.NotCounted;
        foreach (Part part in group.Where(part => part.Presence == Presence.Unknown && part.SaysSomethingBad && !part.Counting.Any()))
            Doubt(part.Area, $"{part.Uri}: {part.Name} does not say whether it is there, but reports {part.Health}");
        foreach (Part part in group.Where(part => part is { Presence: Presence.Present, IsRollup: false, UnknownHealth: not null }))
            Doubt(part.Area, $"{part.Uri}: {part.Name} reports the health \"{part.UnknownHealth}\", which means nothing known");
        foreach (Part part in group.Where(part => part.Contradiction is not null))
            Doubt(part.Area, $"{part.Uri}: {part.Name} was sent with two different values of {part.Contradiction}");
        foreach (Part part in group.Where(part => part.Presence == Presence.Transient && part.Health >= SignalSeverity.Warning))
            Warn($"{part.Uri}: {part.Name} reports {part.Health} while {part.State}: not counted");
        if (group.SelectMany(part => part.Counting.Select(finding => (part, finding))).ToList() is not { Count: > 0 } found)
            yield break;
        ComponentLocation location = group.Skip(1).Aggregate(found[0].part.Location, (known, part) => known.FilledFrom(part.Location));
        // Dell's ids (Disk.Bay.3:Enclosure.Internal.0-1) are what the label says; a bare number is not, nor is a sensor's id, where the name says what is measured.
        if (location.Place is null && group[0].Kind is not (ComponentKind.Temperature or ComponentKind.Sensor or ComponentKind.Power or ComponentKind.Fan) && group.Select(part => part.Id).FirstOrDefault(id => id is not null && id.Any(char.IsAsciiLetter) && id.Any(char.IsAsciiDigit)) is { } id)
            location = location with { Place = id };
        foreach (IGrouping<SignalKind, (Part part, Finding finding)> same in found.GroupBy(each => each.finding.Kind))
        {
            (Part part, Finding first) = same.First();
            SignalSeverity severity = same.Max(each => each.finding.Severity);
            (_, Finding told) = same.FirstOrDefault(each => each.finding.MessageId is not null, same.First());
            yield return new Signal(part.Kind, part.Name, location, first.Kind, severity, same.Any(each => each.finding.Predicted), part.State, first.Evidence,
                told.MessageId, told.Text, now, now)
            {
                Area = part.Area,
                Identity = identity,
                Part = part.Uri,
                AlsoAt = [.. group.Select(each => each.Uri).Where(uri => uri != part.Uri)],
            };
        }
    }

    // A rollup that no part explains: Critical leaves the area in doubt, Warning is the everyday licence, link or clock.
    private void ExplainRollups()
    {
        foreach ((HealthArea? area, string name, SignalSeverity health) in _rollups)
        {
            IEnumerable<Area> areas = area is { } one ? [_areas[one]] : _areas.Values;
            if (areas.Any(each => each.Parts.Any(part => part.SaysSomethingBad)))
                continue;
            if (area is null && _nuisances.Count > 0 && _faults.Count == 0)
            {
                Warn($"{name}: reports {health}, by what the service lists as wrong now: {string.Join("; ", _nuisances.Take(3))}");
                continue;
            }
            string text = $"{name}: reports {health}, and no part that was read explains it";
            Warn(text);
            if (health == SignalSeverity.Critical)
                Doubt(area ?? HealthArea.System, text);
        }
    }

    private static AreaReading Judge(HealthArea name, Area area)
    {
        List<Part> there = [.. area.Parts.Where(part => part.Presence != Presence.NotCounted)];
        int known = there.Count(part => part.Health != SignalSeverity.None || part.Findings.Count > 0);
        if (area.Doubts.Count > 0)
            return new AreaReading(name, AreaState.CannotTell, known, Sum(area.Doubts));
        if (known > 0 || area.IsList)
            return new AreaReading(name, AreaState.Known, known, "");
        if (there.Count > 0)
            return new AreaReading(name, AreaState.CannotTell, 0, $"{there.Count} parts, and none says how it is");
        if (area.Parts.Count > 0)
            return new AreaReading(name, AreaState.NotOffered, 0, $"{area.Parts.Count} parts, all absent, disabled or standing by");
        if (area.ListsMembers && area.Missing.Count > 0)
            return new AreaReading(name, AreaState.CannotTell, 0, $"members are listed, but none is there: {Sum(area.Missing)}");
        return new AreaReading(name, AreaState.NotOffered, 0, area.Missing.Count > 0 ? Sum(area.Missing) : "the service lists nothing");
    }

    private static string Sum(List<string> reasons) => reasons.Count == 1 ? reasons[0] : $"{reasons[0]} (and {reasons.Count - 1} more)";
}
