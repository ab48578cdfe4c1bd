namespace Evacuator.Redfish.Session;

/// <summary>The forms in which an ETag is given back: services hand out weak ones and want strong ones, or quote them twice.</summary>
internal static class ETags
{
    /// <summary>As received; null for none or an empty one, which must not be sent.</summary>
    public static string? AsSent(string? etag) =>
        string.IsNullOrWhiteSpace(etag) || etag.Trim() is "\"\"" or "W/\"\"" || HasControl(etag) ? null : etag.Trim();

    /// <summary>Without the weak mark, in exactly one pair of quotes: <c>W/"1720649379"</c> and <c>""1720649379""</c> become <c>"1720649379"</c>.</summary>
    public static string? Strong(string? etag)
    {
        if (AsSent(etag) is not { } sent)
            return null;
        string bare = sent.StartsWith("W/", StringComparison.OrdinalIgnoreCase) ? sent[2..] : sent;
        bare = bare.Trim('"', '\\', ' ');
        return bare.Length == 0 ? null : $"\"{bare}\"";
    }

    private static bool HasControl(string text) => text.Any(char.IsControl);
}
