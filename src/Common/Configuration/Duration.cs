using System.Globalization;

namespace Evacuator.Common.Configuration;

/// <summary>Durations as systemd writes them: 300ms, 5s, 2min, 1h, 1d, several together ("1min 30s"). A bare number means seconds there; here it is refused as too easy to get wrong.</summary>
public static class Duration
{
    private static readonly (string Name, TimeSpan Length)[] Units =
    [
        ("d", TimeSpan.FromDays(1)), ("h", TimeSpan.FromHours(1)), ("min", TimeSpan.FromMinutes(1)), ("s", TimeSpan.FromSeconds(1)), ("ms", TimeSpan.FromMilliseconds(1)),
    ];

    /// <summary>False for anything else than one or more "number unit" with the units ms, s, min, h, d.</summary>
    public static bool TryParse(string text, out TimeSpan duration)
    {
        duration = TimeSpan.Zero;
        ReadOnlySpan<char> rest = text.AsSpan().Trim();
        if (rest.IsEmpty)
            return false;
        while (!rest.IsEmpty)
        {
            int digits = rest.IndexOfAnyExceptInRange('0', '9');
            if (digits is <= 0 or > 12)
                return false;
            long number = long.Parse(rest[..digits], NumberStyles.None, CultureInfo.InvariantCulture);
            rest = rest[digits..].TrimStart();
            int letters = rest.IndexOfAnyExceptInRange('a', 'z');
            string unit = (letters < 0 ? rest : rest[..letters]).ToString();
            rest = letters < 0 ? [] : rest[letters..].TrimStart();
            TimeSpan length = Array.Find(Units, candidate => candidate.Name == unit).Length;
            if (length == TimeSpan.Zero || number > (TimeSpan.MaxValue - duration).Ticks / length.Ticks)
                return false;
            duration += length * number;
        }

        return true;
    }

    /// <summary>The shortest form that <see cref="TryParse"/> reads back: 90 s is "1min 30s". Whole milliseconds.</summary>
    public static string Format(TimeSpan duration)
    {
        List<string> parts = [];
        foreach ((string name, TimeSpan length) in Units)
        {
            long count = duration.Ticks / length.Ticks;
            if (count > 0)
                parts.Add(string.Create(CultureInfo.InvariantCulture, $"{count}{name}"));
            duration -= length * count;
        }

        return parts.Count == 0 ? "0s" : string.Join(' ', parts);
    }
}
