using System.Text.Json;
using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Containers;

/// <summary>What runc's state.json says of a container (libcontainer's State; the names have been the same since runc 1.0).</summary>
/// <param name="StartTime">of the first process, field 22 of /proc/PID/stat: tells it from a later process with its number</param>
/// <param name="UnifiedCgroup">directory in cgroup2 as runc mounted it; null on a host with cgroup v1</param>
internal sealed record RuncState(string Id, int InitPid, ulong StartTime, string Bundle, string Rootfs, string? UnifiedCgroup, bool SystemdCgroup)
{
    /// <summary>What the first three descriptors of its first process were at its start, as links of /proc show them.</summary>
    public IReadOnlyList<string> Descriptors { get; init; } = [];

    private const string BundleLabel = "bundle=";

    /// <exception cref="ContainerException">it is not such a file</exception>
    internal static RuncState Parse(ReadOnlyMemory<byte> json, string origin)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            JsonElement root = document.RootElement;
            JsonElement config = root.GetProperty("config");
            string bundle = config.GetProperty("labels").EnumerateArray().Select(label => label.GetString() ?? "")
                .FirstOrDefault(label => label.StartsWith(BundleLabel, StringComparison.Ordinal))?[BundleLabel.Length..]
                ?? throw new JsonException("it names no bundle");
            string? cgroup = root.TryGetProperty("cgroup_paths", out JsonElement paths) && paths.ValueKind == JsonValueKind.Object
                && paths.TryGetProperty("", out JsonElement unified) ? unified.GetString() : null;
            // The field has no JSON name in libcontainer and so is written as Go spells it.
            bool systemd = config.GetProperty("cgroups").EnumerateObject()
                .Any(p => p.Name.Equals("systemd", StringComparison.OrdinalIgnoreCase) && p.Value.ValueKind == JsonValueKind.True);
            return new RuncState(
                root.GetProperty("id").GetString() ?? "", root.GetProperty("init_process_pid").GetInt32(), root.GetProperty("init_process_start").GetUInt64(),
                bundle, config.GetProperty("rootfs").GetString() ?? "", cgroup, systemd)
            {
                Descriptors = root.TryGetProperty("external_descriptors", out JsonElement descriptors) && descriptors.ValueKind == JsonValueKind.Array
                    ? [.. descriptors.EnumerateArray().Select(descriptor => descriptor.GetString() ?? "")] : [],
            };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new ContainerException(BlockerCode.Unreadable, $"{origin} cannot be understood: {e.Message}", e);
        }
    }
}
