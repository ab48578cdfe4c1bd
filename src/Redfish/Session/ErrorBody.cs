using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Session;

/// <summary>
/// The Redfish error object: <c>{"error":{"code","message","@Message.ExtendedInfo":[{MessageId,Message,MessageArgs,RelatedProperties}]}}</c>.
/// Services also attach <c>@Message.ExtendedInfo</c> at the top of an ordinary body; both are read.
/// </summary>
/// <param name="MessageKeys">Last parts of the message ids, such as PasswordChangeRequired.</param>
/// <param name="Text">The messages in one line, shortened.</param>
/// <param name="Named">What MessageArgs and RelatedProperties name: property names among other things.</param>
internal sealed record ErrorBody(IReadOnlyList<string> MessageKeys, string Text, IReadOnlyList<string> Named)
{
    private const int MaxText = 300;
    private const int MaxInfos = 20;

    public static ErrorBody Empty { get; } = new([], "", []);

    public bool Has(params ReadOnlySpan<string> keys)
    {
        foreach (string key in keys)
            if (MessageKeys.Contains(key, StringComparer.OrdinalIgnoreCase))
                return true;
        return false;
    }

    /// <summary>Never fails: what cannot be read counts as absent.</summary>
    public static ErrorBody Parse(ReadOnlyMemory<byte> body)
    {
        if (body.IsEmpty || RedfishResource.TryParse(body, "", null, out _) is not { } root)
            return Empty;
        List<string> keys = [], texts = [], named = [];
        AddKey(keys, root.Text("error", "code"));
        foreach (RedfishResource info in root.Items("error", "@Message.ExtendedInfo").Concat(root.Items("@Message.ExtendedInfo")).Take(MaxInfos))
        {
            AddKey(keys, info.Text("MessageId"));
            if (info.Text("Message") is { } message)
                texts.Add(message);
            named.AddRange(info.Texts("MessageArgs").Concat(info.Texts("RelatedProperties")).Where(n => n.Length < 200).Take(MaxInfos).Select(PropertyName));
        }
        if (texts.Count == 0 && root.Text("error", "message") is { } general)
            texts.Add(general);
        string text = string.Join("; ", texts.Distinct()).ReplaceLineEndings(" ");
        return new ErrorBody(keys, text.Length > MaxText ? text[..MaxText] + "…" : text, named);
    }

    // Property names arrive as "RegistryPrefixes", "#/RegistryPrefixes" or "/RegistryPrefixes/0".
    private static string PropertyName(string name) => name.TrimStart('#', '/').Split('/')[0];

    // "Base.1.4.0.Success" and "Base.Success" are the same message: only what follows the last dot counts.
    private static void AddKey(List<string> keys, string? id)
    {
        if (id is not null)
            keys.Add(id[(id.LastIndexOf('.') + 1)..].Trim());
    }
}
