using System.Text.Json;
using System.Text.Json.Nodes;

namespace Evacuator.Lab.BmcSimulator.Model;

/// <summary>
/// Where this tree keeps what the simulator brings to life, found by following its links, whatever ids it uses. A property is
/// null where the tree does not offer the thing; the simulator then does not offer it either.
/// </summary>
internal sealed record ServiceLayout
{
    public const string Root = "/redfish/v1";

    /// <summary>The system whose power is the node: the first one that can be reset.</summary>
    public required string? System { get; init; }

    public required string? ResetTarget { get; init; }

    /// <summary>Reset types the service lists, inline or by ActionInfo; empty where it lists none.</summary>
    public required IReadOnlyList<string> ResetTypes { get; init; }

    /// <summary>The chassis that share the system's power and LED.</summary>
    public required IReadOnlyList<string> Chassis { get; init; }

    public required IReadOnlyList<string> Managers { get; init; }

    public required string? SessionService { get; init; }

    public required string? Sessions { get; init; }

    public required string? EventService { get; init; }

    public required string? Subscriptions { get; init; }

    public required string? ServerSentEvents { get; init; }

    public required string? SubmitTestEvent { get; init; }

    /// <summary>The Entries collection of the log that takes the simulator's events.</summary>
    public required string? LogEntries { get; init; }

    public required string? ClearLogTarget { get; init; }

    public static ServiceLayout Discover(ResourceTree tree)
    {
        JsonObject? root = Read(tree, Root);
        string[] systems = [.. Members(tree, root.Get("Systems").Link())];
        string? system = systems.FirstOrDefault(uri => ResetAction(tree, uri) is not null) ?? systems.FirstOrDefault();
        JsonNode? reset = system is null ? null : ResetAction(tree, system);
        string[] managers = [.. Members(tree, root.Get("Managers").Link())];
        JsonObject? events = Read(tree, root.Get("EventService").Link());
        (string? entries, string? clear) = FindLog(tree, system is null ? managers : [system, .. managers]);
        return new ServiceLayout
        {
            System = system,
            ResetTarget = reset.Get("target").Text() is { } target ? ResourceUri.Normalise(target) : null,
            ResetTypes = FindResetTypes(tree, reset),
            Chassis = FindChassis(tree, root, system, systems.Length),
            Managers = managers,
            SessionService = root.Get("SessionService").Link(),
            Sessions = root.Get("Links").Get("Sessions").Link() ?? Read(tree, root.Get("SessionService").Link()).Get("Sessions").Link(),
            EventService = root.Get("EventService").Link(),
            Subscriptions = events.Get("Subscriptions").Link(),
            ServerSentEvents = events.Get("ServerSentEventUri").Text() is { } sse ? ResourceUri.Normalise(sse) : null,
            SubmitTestEvent = events.Get("Actions").Get("#EventService.SubmitTestEvent").Get("target").Text() is { } test ? ResourceUri.Normalise(test) : null,
            LogEntries = entries,
            ClearLogTarget = clear,
        };
    }

    private static IReadOnlyList<string> FindResetTypes(ResourceTree tree, JsonNode? reset)
    {
        IReadOnlyList<string> inline = reset.Get("ResetType@Redfish.AllowableValues").Texts();
        if (inline.Count > 0 || reset.Get("@Redfish.ActionInfo").Text() is not { } actionInfo)
        {
            return inline;
        }

        JsonArray? parameters = Read(tree, ResourceUri.Normalise(actionInfo)).Get("Parameters") as JsonArray;
        return parameters?.FirstOrDefault(parameter => parameter.Get("Name").Text() == "ResetType").Get("AllowableValues").Texts() ?? [];
    }

    // A service for several systems (a blade enclosure) must not switch the neighbours' chassis, so there only the links count.
    private static string[] FindChassis(ResourceTree tree, JsonObject? root, string? system, int systems)
    {
        string[] linked = [.. Read(tree, system).Get("Links").Get("Chassis").Links()];
        return linked.Length > 0 || systems > 1 ? linked : [.. Members(tree, root.Get("Chassis").Link())];
    }

    private static (string? Entries, string? Clear) FindLog(ResourceTree tree, IEnumerable<string> owners)
    {
        string[] preferred = ["EventLog", "IML", "Sel", "SEL", "Log1", "ActiveLog", "PlatformLog"];
        var logs = owners
            .SelectMany(owner => Members(tree, Read(tree, owner).Get("LogServices").Link()))
            .Select(uri => (Uri: uri, Entries: Read(tree, uri).Get("Entries").Link()))
            .Where(log => tree.Find(log.Entries ?? "") is not null)
            .OrderBy(log => Array.IndexOf(preferred, ResourceUri.Id(log.Uri)) is >= 0 and int rank ? rank : preferred.Length)
            .ToList();
        if (logs.Count == 0)
        {
            return (null, null);
        }

        string? clear = Read(tree, logs[0].Uri).Get("Actions").Get("#LogService.ClearLog").Get("target").Text();
        return (logs[0].Entries, clear is null ? null : ResourceUri.Normalise(clear));
    }

    private static JsonNode? ResetAction(ResourceTree tree, string system) => Read(tree, system).Get("Actions").Get("#ComputerSystem.Reset");

    private static IEnumerable<string> Members(ResourceTree tree, string? collection) => Read(tree, collection).Get("Members").Links();

    private static JsonObject? Read(ResourceTree tree, string? uri)
    {
        if (uri is null || tree.Find(uri) is not { } bytes)
        {
            return null;
        }

        try
        {
            return JsonText.Parse(bytes) as JsonObject;
        }
        catch (JsonException)
        {
            return null; // A tree may hold a broken resource on purpose; it is served as it is and tells nothing about the layout.
        }
    }
}
