using System.Text.Json;

namespace Evacuator.Evacuation;

internal static class Words
{
    /// <summary>An enum's value as all interfaces spell it: arranging-power-off.</summary>
    public static string Of<T>(T value) where T : struct, Enum => JsonNamingPolicy.KebabCaseLower.ConvertName(value.ToString());
}
