using System.Globalization;
using System.Text.RegularExpressions;

namespace Evacuator.Redfish.Events;

/// <summary>
/// Times as BMCs write them: offsets without a colon, fractions of a second, no offset, and clocks that stand at 1970 or 9999.
/// </summary>
internal static partial class EventTime
{
    /// <summary>Null for what is no time, or none that a clock in use can show (before 2010 or after 2099).</summary>
    public static DateTimeOffset? Parse(string? text)
    {
        if (text is null || text.Length > 64)
            return null;
        string written = OffsetWithoutColon().Replace(text.Trim(), "$1:$2");
        return DateTimeOffset.TryParse(written, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AllowWhiteSpaces, out DateTimeOffset time)
            && time.UtcDateTime.Year is >= 2010 and <= 2099
            ? time
            : null;
    }

    [GeneratedRegex(@"([+-]\d{2})(\d{2})$")]
    private static partial Regex OffsetWithoutColon();
}
