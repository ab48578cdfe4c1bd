using System.Globalization;

namespace Evacuator.Common.Configuration;

/// <summary>How values of one kind are read and written.</summary>
/// <param name="Permitted">what may stand there, to end the sentence "must be …"</param>
/// <param name="Read">the value, or false if the text is not permitted</param>
/// <param name="Write">the text that <paramref name="Read"/> gives this value for</param>
internal sealed record SettingType<T>(string Permitted, SettingType<T>.Reader Read, Func<T, string> Write)
{
    public delegate bool Reader(string text, out T value);
}

/// <summary>The kinds of values that settings have.</summary>
internal static class SettingTypes
{
    public static SettingType<string> Text { get; } = new("text", (string text, out string value) => Keep(text, out value, true), Same);

    public static SettingType<string> AbsolutePath { get; } = new(
        "an absolute path", (string text, out string value) => Keep(text, out value, text.StartsWith('/') && !text.Contains('\0')), Same);

    public static SettingType<string> NodeName { get; } = new(
        Fleet.NodeName.Permitted, (string text, out string value) => Keep(text, out value, Fleet.NodeName.IsValid(text)), Same);

    public static SettingType<string> HttpsUrl { get; } = new("an https:// address without path", ReadHttpsUrl, Same);

    public static SettingType<IReadOnlyList<string>> HttpsUrls { get; } = new("https:// addresses without path, space separated", ReadHttpsUrls, value => string.Join(' ', value));

    public static SettingType<string> KeyPrefix { get; } = new(
        "a path of letters, digits, dots and dashes that begins with a slash and does not end with one",
        (string text, out string value) => Keep(text, out value, text.Length is > 1 and <= 200 && text[0] == '/' && text[1..].Split('/').All(part => part.Length > 0 && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_'))),
        Same);

    public static SettingType<string> IpAddress { get; } = new(
        "an IP address", (string text, out string value) => Keep(text, out value, text.AsSpan().IndexOfAny('.', ':') >= 0 && System.Net.IPAddress.TryParse(text, out _)), Same);

    public static SettingType<string> WebUrl { get; } = new("an http:// or https:// address",
        (string text, out string value) => Keep(text, out value, Uri.TryCreate(text, UriKind.Absolute, out Uri? url) && url.Scheme is ("http" or "https") && url.Host.Length > 0), Same);

    public static SettingType<string> Fingerprint { get; } = new("a SHA-256 in 64 hex digits, with or without colons", ReadFingerprint, Same);

    public static SettingType<string> Uuid { get; } = new("a UUID like 4c4c4544-0042-3510-8056-b4c04f4e4d32", ReadUuid, Same);

    /// <summary>By its form only; what the words mean is known to the brain, which reads them again.</summary>
    public static SettingType<string> Cron { get; } = new(
        "a cron expression like 0 30 3 * * ?", (string text, out string value) => Keep(text, out value, text.Length == 0
            || text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Length is 6 or 7 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is ' ' or '*' or '?' or '/' or ',' or '-' or '#')), Same);

    public static SettingType<IReadOnlyList<string>> Words { get; } = new("words, space separated", ReadWords, value => string.Join(' ', value));

    public static SettingType<bool> YesNo { get; } = new("yes or no", ReadYesNo, value => value ? "yes" : "no");

    public static SettingType<string> OneOf(params string[] words) =>
        new(Enumerate(words), (string text, out string value) => Keep(text, out value, words.Contains(text)), Same);

    public static SettingType<int> Number(int least, int most)
    {
        return new($"a whole number from {least} to {most}", Read, value => value.ToString(CultureInfo.InvariantCulture));

        bool Read(string text, out int value) =>
            int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value) && value >= least && value <= most;
    }

    public static SettingType<NodeCount> Nodes(int most) =>
        new($"a whole number from 0 to {most}, or a share of the fleet from 1% to 100%", (string text, out NodeCount value) => NodeCount.TryParse(text, most, out value), value => value.ToString());

    public static SettingType<TimeSpan> DurationBetween(TimeSpan least, TimeSpan most)
    {
        return new($"a duration like 300ms, 5s, 2min or 1h, from {Duration.Format(least)} to {Duration.Format(most)}", Read, Duration.Format);

        bool Read(string text, out TimeSpan value) => Duration.TryParse(text, out value) && value >= least && value <= most;
    }

    /// <summary>An enum by its kebab-case words, the same as in JSON.</summary>
    public static SettingType<T> EnumWord<T>()
        where T : struct, Enum
    {
        (string Word, T Value)[] words = [.. Enum.GetValues<T>().Select(value => (System.Text.Json.JsonNamingPolicy.KebabCaseLower.ConvertName(value.ToString()), value))];
        return new(Enumerate([.. words.Select(pair => pair.Word)]), Read, value => words.First(pair => pair.Value.Equals(value)).Word);

        bool Read(string text, out T value)
        {
            foreach ((string word, T candidate) in words)
            {
                if (word == text)
                {
                    value = candidate;
                    return true;
                }
            }

            value = default;
            return false;
        }
    }

    private static string Enumerate(string[] words) => $"{string.Join(", ", words[..^1])} or {words[^1]}";

    private static string Same(string value) => value;

    private static bool Keep(string text, out string value, bool permitted)
    {
        value = text;
        return permitted;
    }

    private static bool ReadHttpsUrl(string text, out string value)
    {
        value = "";
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? url) || url.Scheme != Uri.UriSchemeHttps || url.Host.Length == 0)
            return false;
        if (url.PathAndQuery != "/" || url.UserInfo.Length > 0 || url.Fragment.Length > 0)
            return false;
        value = url.GetLeftPart(UriPartial.Authority);
        return true;
    }

    private static bool ReadHttpsUrls(string text, out IReadOnlyList<string> value)
    {
        List<string> urls = [];
        foreach (string word in text.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries))
        {
            if (!ReadHttpsUrl(word, out string url))
            {
                value = [];
                return false;
            }

            if (!urls.Contains(url))
                urls.Add(url);
        }

        value = urls;
        return true;
    }

    private static bool ReadFingerprint(string text, out string value)
    {
        value = text.Replace(":", "", StringComparison.Ordinal).ToUpperInvariant();
        return value.Length == 64 && value.All(char.IsAsciiHexDigit);
    }

    private static bool ReadUuid(string text, out string value)
    {
        bool permitted = Guid.TryParseExact(text, "D", out Guid uuid);
        value = uuid.ToString("D");
        return permitted;
    }

    private static bool ReadWords(string text, out IReadOnlyList<string> value)
    {
        value = text.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        return true;
    }

    /// <summary>systemd's words for a boolean.</summary>
    private static bool ReadYesNo(string text, out bool value)
    {
        value = text is "yes" or "true" or "on" or "1";
        return value || text is "no" or "false" or "off" or "0";
    }
}
