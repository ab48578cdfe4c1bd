using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Health;

/// <summary>What a host knows of itself, from /sys/class/dmi/id.</summary>
/// <param name="Uuid">product_uuid; null when it is not known.</param>
/// <param name="Serial">product_serial; null when it is not known.</param>
public sealed record HostIdentity(string? Uuid, string? Serial)
{
    /// <summary>Nothing is known: any one machine will do.</summary>
    public static HostIdentity Unknown { get; } = new(null, null);

    /// <summary>What DMI says of this host; only root may read it, so null for others.</summary>
    public static HostIdentity OfThisHost(string folder = "/sys/class/dmi/id") => new(Read(folder, "product_uuid"), Read(folder, "product_serial"));

    private static string? Read(string folder, string name)
    {
        try
        {
            return File.ReadAllText(Path.Combine(folder, name)).Trim() is { Length: > 0 } text ? text : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}

/// <summary>Which of the systems behind a BMC is the host.</summary>
public enum MatchOutcome
{
    /// <summary>None of them, or none that could be proved: no action on this BMC.</summary>
    None,

    /// <summary>Exactly one.</summary>
    Unique,

    /// <summary>More than one could be: no action on this BMC.</summary>
    Ambiguous,
}

/// <summary>The answer to "which machine is this?".</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="System">The system; present exactly when unique.</param>
/// <param name="Scope">What to walk for it; present exactly when unique.</param>
/// <param name="Candidates">The machines there are: systems that are not companions or templates.</param>
/// <param name="Reason">By what it was recognised, or why not.</param>
public sealed record SystemMatch(MatchOutcome Outcome, RedfishResource? System, HealthScope? Scope, IReadOnlyList<RedfishResource> Candidates, string Reason)
{
    /// <summary>Reads the systems of a service and finds the host among them.</summary>
    /// <param name="reader">The service.</param>
    /// <param name="host">What the host knows of itself.</param>
    /// <param name="systemId">The Id or URI that an operator has configured; null for none.</param>
    /// <param name="cancel">Ends the search with an exception.</param>
    public static async Task<SystemMatch> FindAsync(IResourceReader reader, HostIdentity host, string? systemId, CancellationToken cancel)
    {
        ReadResult root = await reader.ReadAsync(HealthWalk.ServiceRoot, cancel);
        if (root.Resource is null)
            return Nothing([], $"the service root could not be read: {root.Message}");
        string link = root.Resource.Link("Systems") ?? HealthWalk.ServiceRoot + "Systems";
        CollectionResult systems = await CollectionReader.ReadAsync(reader, link, new CollectionLimits(MaxMembers: 256), cancel);
        if (systems.Outcome == ReadOutcome.NotFound && root.Resource.Link("Systems") is null)
            return Nothing([], "the service has no systems");
        if (systems.Outcome != ReadOutcome.Found)
            return Nothing([], $"the list of systems could not be read: {string.Join("; ", systems.Warnings)}");
        SystemMatch match = Choose(systems.Members, host, systemId);
        // A system that could not be read may be the second with this identity, but an identity that was proved stays proved.
        return systems.Complete || match.Outcome != MatchOutcome.Unique || host != HostIdentity.Unknown
            ? match
            : match with { Outcome = MatchOutcome.Ambiguous, System = null, Scope = null, Reason = $"not all systems could be read: {string.Join("; ", systems.Warnings)}" };
    }

    /// <summary>The choice itself, from systems that were read.</summary>
    public static SystemMatch Choose(IReadOnlyList<RedfishResource> systems, HostIdentity host, string? systemId)
    {
        List<RedfishResource> real = [.. systems.Where(system => !IsTemplate(system))];
        List<RedfishResource> resettable = [.. real.Where(system => system.Child("Actions", "#ComputerSystem.Reset") is not null)];
        // A baseboard without a reset is part of the one machine that has it; with several machines nobody says whose it is.
        List<RedfishResource> machines = resettable.Count > 0 ? resettable : real;
        List<RedfishResource> companions = resettable.Count == 1 ? [.. real.Except(resettable)] : [];

        SystemMatch Found(RedfishResource system, string reason) => new(
            MatchOutcome.Unique, system, new HealthScope([system.Uri, .. companions.Select(each => each.Uri)], machines.Count == 1), machines, reason);

        if (machines.Count == 0)
            return Nothing(machines, "the service has no system");
        List<RedfishResource> byIdentity = ByIdentity(machines, host, out string evidence);
        if (systemId is not null)
        {
            List<RedfishResource> named = [.. machines.Where(system => IsNamed(system, systemId))];
            if (named.Count != 1)
                return Nothing(machines, $"the configured system {systemId} is {(named.Count == 0 ? "not there" : "there more than once")}; there are: {Names(machines)}");
            return byIdentity.Count > 0 && !byIdentity.Contains(named[0])
                ? Nothing(machines, $"the configured system {systemId} is not this host: {evidence} of this host is that of {Names(byIdentity)}")
                : Found(named[0], byIdentity.Count > 0 ? $"configured, and {evidence} agrees" : "configured");
        }
        if (byIdentity.Count == 1)
            return Found(byIdentity[0], $"{evidence} agrees");
        if (byIdentity.Count > 1)
            return new SystemMatch(MatchOutcome.Ambiguous, null, null, machines, $"{evidence} of this host is that of {Names(byIdentity)}");
        if (NormalUuid(host.Uuid) is null && Locator.Meaningful(host.Serial) is null)
            return machines.Count == 1
                ? Found(machines[0], "the only system, and nothing is known of this host to compare")
                : machines.Where(system => !IsVirtual(system)).ToList() is [var only]
                ? new SystemMatch(MatchOutcome.Unique, only, new HealthScope([only.Uri], true), machines, "the only system that is no virtual one, and nothing is known of this host to compare")
                : new SystemMatch(MatchOutcome.Ambiguous, null, null, machines, $"nothing is known of this host, and there are: {Names(machines)}");
        return Nothing(machines, $"neither UUID {host.Uuid ?? "(none)"} nor serial number {host.Serial ?? "(none)"} is that of {Names(machines)}");
    }

    /// <summary>
    /// Whether two UUIDs name one machine. SMBIOS stores the first three fields little-endian and some BMCs (and old kernels) print them unswapped.
    /// </summary>
    public static bool SameUuid(string? left, string? right) =>
        NormalUuid(left) is { } one && NormalUuid(right) is { } other && (one == other || Swapped(one) == other);

    private static SystemMatch Nothing(IReadOnlyList<RedfishResource> machines, string reason) => new(MatchOutcome.None, null, null, machines, reason);

    private static List<RedfishResource> ByIdentity(List<RedfishResource> machines, HostIdentity host, out string evidence)
    {
        List<RedfishResource> byUuid = [.. machines.Where(system => SameUuid(system.Text("UUID"), host.Uuid))];
        List<RedfishResource> bySerial = [.. machines.Where(system => HasSerial(system, host.Serial))];
        evidence = "the UUID";
        if (byUuid.Count == 1)
            return byUuid;
        // Boards that ship with one UUID for all are told apart by serial number.
        List<RedfishResource> both = byUuid.Count > 1 ? [.. byUuid.Intersect(bySerial)] : bySerial;
        if (both.Count == 0)
            return byUuid;
        evidence = "the serial number";
        return both;
    }

    // Dell's SerialNumber is the board's; what DMI calls the product's serial number, the service tag, is in SKU.
    private static bool HasSerial(RedfishResource system, string? serial)
    {
        if (Locator.Meaningful(serial) is not { } wanted)
            return false;
        return new[] { system.Text("SerialNumber"), system.Text("SKU"), system.Text("Oem", "Dell", "DellSystem", "ServiceTag") }
            .Any(each => Locator.Meaningful(each)?.Equals(wanted, StringComparison.OrdinalIgnoreCase) == true);
    }

    private static bool IsNamed(RedfishResource system, string name) =>
        RedfishUri.Same(system.Uri, name) || name.Equals(system.Id, StringComparison.OrdinalIgnoreCase)
        || name.Equals(RedfishUri.LastSegment(system.Uri), StringComparison.OrdinalIgnoreCase);

    // Gigabyte lists the capabilities object of its composition service among the systems.
    private static bool IsTemplate(RedfishResource system) => system.PropertyNames.Any(name => name.EndsWith("OnCreate", StringComparison.OrdinalIgnoreCase));

    // A service that also lists what runs on the machine.
    private static bool IsVirtual(RedfishResource system) => system.Text("SystemType")?.ToUpperInvariant() is "VIRTUAL" or "OS";

    private static string Names(IEnumerable<RedfishResource> systems) => string.Join(", ", systems.Select(system => system.Id ?? system.Uri));

    private static string? NormalUuid(string? uuid)
    {
        string digits = new([.. (uuid ?? "").Where(char.IsAsciiHexDigit).Select(char.ToLowerInvariant)]);
        bool isFiller = digits.Length != 32 || digits.All(each => each == digits[0]) || digits == "03000200040005000006000700080009";
        return isFiller ? null : digits;
    }

    private static string Swapped(string uuid)
    {
        byte[] bytes = Convert.FromHexString(uuid);
        Array.Reverse(bytes, 0, 4);
        Array.Reverse(bytes, 4, 2);
        Array.Reverse(bytes, 6, 2);
        return Convert.ToHexStringLower(bytes);
    }
}
