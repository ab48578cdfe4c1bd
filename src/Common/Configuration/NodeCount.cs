using System.Globalization;

namespace Evacuator.Common.Configuration;

/// <summary>A number of nodes, given as such or as a share of the fleet: "5" or "5%".</summary>
public readonly record struct NodeCount(int Number, bool IsPercent = false)
{
    public static implicit operator NodeCount(int number) => new(number);

    /// <summary>In a fleet of that many: a share is rounded down, but is one node at least, or nothing could ever be serviced.</summary>
    public int Of(int nodes) => !IsPercent || Number == 0 ? Number : (int)Math.Max(1, (long)nodes * Number / 100);

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Number}{(IsPercent ? "%" : "")}");

    /// <param name="most">as a number; a share is 1 to 100 percent</param>
    public static bool TryParse(string text, int most, out NodeCount value)
    {
        bool percent = text.EndsWith('%');
        string digits = percent ? text[..^1].TrimEnd() : text;
        bool ok = int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && (percent ? number is >= 1 and <= 100 : number <= most);
        value = ok ? new NodeCount(number, percent) : default;
        return ok;
    }
}
