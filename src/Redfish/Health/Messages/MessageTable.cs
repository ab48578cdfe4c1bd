using System.Collections.Frozen;

namespace Evacuator.Redfish.Health.Messages;

/// <summary>
/// What known messages mean, from messages.tsv beside this file. A message that is not in it has no effect but that the resource it is about is read again.
/// </summary>
public static class MessageTable
{
    private static readonly FrozenDictionary<string, MessageMeaning> Meanings = Load();

    /// <summary>Families in which nothing is about hardware health: whatever their messages say, it is ignored.</summary>
    private static readonly FrozenSet<string> IgnoredFamilies = FrozenSet.ToFrozenSet(
        ["HeartbeatEvent", "TaskEvent", "JobEvent", "Task", "Base", "Update", "UpdateService", "UpdateManager", "License", "LogService", "Security", "AccountSecurity", "HttpStatus",
            "CertificateService", "Telemetry", "Composition", "SyncAgent", "ServiceCommunications"],
        StringComparer.OrdinalIgnoreCase);

    /// <summary>All rows, in no order.</summary>
    public static IEnumerable<MessageMeaning> All => Meanings.Values;

    /// <summary>What the message with this id means; <see cref="MessageEffect.Unknown"/> for null and for what is not known.</summary>
    public static MessageMeaning Classify(string? messageId)
    {
        if (MessageIds.Normalize(messageId) is not { } key)
            return Nothing(new MessageKey("", ""), MessageEffect.Unknown);
        if (Meanings.TryGetValue(key.ToString(), out MessageMeaning? meaning))
            return meaning;
        return Nothing(key, IsIgnored(key) ? MessageEffect.Ignored : MessageEffect.Unknown);
    }

    /// <summary>The same for a message whose id may be no more than a number while the code stands in the text (Supermicro).</summary>
    public static MessageMeaning Classify(string? messageId, string? message)
    {
        MessageMeaning byId = Classify(messageId);
        return byId.Effect == MessageEffect.Unknown && MessageIds.CodeInText(message) is { } code ? Classify(code) : byId;
    }

    // Supermicro's MEL codes are the maintenance log: who configured what.
    private static bool IsIgnored(MessageKey key) =>
        IgnoredFamilies.Contains(key.Family) || key.Family == MessageIds.Supermicro && key.Key.StartsWith("MEL-", StringComparison.OrdinalIgnoreCase);

    private static MessageMeaning Nothing(MessageKey key, MessageEffect effect) =>
        new(key, effect, ComponentKind.Unknown, [], SignalSeverity.None, false);

    // family <tab> key <tab> effect <tab> component <tab> kinds, comma-separated or "-" <tab> severity or "-" <tab> "predicted" or "-"; '#' starts a comment line.
    private static FrozenDictionary<string, MessageMeaning> Load()
    {
        using Stream stream = typeof(MessageTable).Assembly.GetManifestResourceStream("Evacuator.Redfish.messages.tsv")
            ?? throw new InvalidOperationException("messages.tsv is not embedded");
        using StreamReader reader = new(stream);
        Dictionary<string, MessageMeaning> meanings = new(StringComparer.OrdinalIgnoreCase);
        while (reader.ReadLine() is { } line)
        {
            if (line.Length == 0 || line[0] == '#')
                continue;
            MessageMeaning row = Parse(line);
            meanings.Add(row.Key.ToString(), row);
        }
        return meanings.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);
    }

    private static MessageMeaning Parse(string line)
    {
        string[] cells = line.Split('\t');
        if (cells.Length != 7)
            throw new FormatException($"messages.tsv: {cells.Length} cells where 7 belong: {line}");
        return new MessageMeaning(
            new MessageKey(cells[0], cells[1]),
            Enum.Parse<MessageEffect>(cells[2]),
            cells[3] == "-" ? ComponentKind.Unknown : Enum.Parse<ComponentKind>(cells[3]),
            cells[4] == "-" ? [] : [.. cells[4].Split(',').Select(Enum.Parse<SignalKind>)],
            cells[5] == "-" ? SignalSeverity.None : Enum.Parse<SignalSeverity>(cells[5]),
            cells[6] == "predicted");
    }
}
