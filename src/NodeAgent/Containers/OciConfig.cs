using System.Text.Json;

namespace Evacuator.NodeAgent.Containers;

/// <summary>What a move needs to know of a bundle's config.json (OCI runtime specification, config.md and config-linux.md).</summary>
internal sealed record OciConfig
{
    public required string RootPath { get; init; }

    public bool Terminal { get; init; }

    public string? CgroupsPath { get; init; }

    public IReadOnlyList<OciMount> Mounts { get; init; } = [];

    /// <summary>Namespaces made or joined, by type (pid, network, mount, …); the value is the path to join, null for a new one.</summary>
    public IReadOnlyDictionary<string, string?> Namespaces { get; init; } = new Dictionary<string, string?>();

    public IReadOnlyDictionary<string, string> Annotations { get; init; } = new Dictionary<string, string>();

    /// <exception cref="ContainerException">it is not such a file</exception>
    internal static OciConfig Parse(string json, string origin)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            JsonElement root = document.RootElement;
            JsonElement linux = Part(root, "linux");
            Dictionary<string, string?> namespaces = [];
            foreach (JsonElement space in Items(linux, "namespaces"))
                namespaces[Text(space, "type") ?? ""] = Text(space, "path") is { Length: > 0 } path ? path : null;
            return new OciConfig
            {
                RootPath = Text(Part(root, "root"), "path") ?? throw new JsonException("root.path is missing"),
                Terminal = Part(Part(root, "process"), "terminal").ValueKind == JsonValueKind.True,
                CgroupsPath = Text(linux, "cgroupsPath"),
                Mounts =
                [
                    .. Items(root, "mounts").Select(mount => new OciMount(
                        Text(mount, "destination") ?? throw new JsonException("a mount has no destination"), Text(mount, "type") ?? "", Text(mount, "source") ?? "",
                        [.. Items(mount, "options").Select(option => option.GetString() ?? "")])),
                ],
                Namespaces = namespaces,
                Annotations = Part(root, "annotations") is { ValueKind: JsonValueKind.Object } annotations
                    ? annotations.EnumerateObject().ToDictionary(a => a.Name, a => a.Value.GetString() ?? "")
                    : [],
            };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new ContainerException(Common.AgentApi.BlockerCode.Unreadable, $"{origin} is not an OCI configuration: {e.Message}", e);
        }
    }

    private static JsonElement Part(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement part) ? part : default;

    private static string? Text(JsonElement element, string name) => Part(element, name) is { ValueKind: JsonValueKind.String } text ? text.GetString() : null;

    private static IEnumerable<JsonElement> Items(JsonElement element, string name) =>
        Part(element, name) is { ValueKind: JsonValueKind.Array } array ? array.EnumerateArray() : [];
}

/// <summary>A mount of config.json.</summary>
internal sealed record OciMount(string Destination, string Type, string Source, IReadOnlyList<string> Options)
{
    /// <summary>The type of a bind mount may be anything: its options decide.</summary>
    public bool IsBind => Type == "bind" || Options.Contains("bind") || Options.Contains("rbind");

    public bool ReadOnly => Options.Contains("ro") || Options.Contains("rro");
}
