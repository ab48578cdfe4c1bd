using System.Globalization;

namespace Evacuator.Lab.BmcSimulator.Model;

internal static class Timestamp
{
    public static string Format(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss+00:00", CultureInfo.InvariantCulture);
}
