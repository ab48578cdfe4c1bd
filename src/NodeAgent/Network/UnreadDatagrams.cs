using System.Globalization;

namespace Evacuator.NodeAgent.Network;

/// <summary>
/// Datagrams that a container has been given and has not read. CRIU does not save them, so a container is frozen only when it has read what it
/// had, or has shown that it does not hurry.
/// </summary>
internal static class UnreadDatagrams
{
    /// <summary>Bytes waiting in all UDP sockets of a process's network namespace, as the kernel counts them.</summary>
    /// <param name="process">directory in /proc</param>
    internal static long Count(string process) => Read($"{process}/net/udp") + Read($"{process}/net/udp6");

    /// <summary>
    /// Sums the column "rx_queue":
    /// <code>
    ///    sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
    ///   517: 00000000:1B59 00000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 26142 2 0000000000000000 0
    /// </code>
    /// </summary>
    internal static long Parse(string text)
    {
        long sum = 0;
        Span<Range> fields = stackalloc Range[6];
        foreach (ReadOnlySpan<char> line in text.AsSpan().EnumerateLines())
        {
            if (line.Split(fields, ' ', StringSplitOptions.RemoveEmptyEntries) < 6)
                continue;
            ReadOnlySpan<char> queues = line[fields[4]];
            int colon = queues.IndexOf(':');
            if (colon > 0 && long.TryParse(queues[(colon + 1)..], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out long waiting))
                sum += waiting;
        }
        return sum;
    }

    private static long Read(string file)
    {
        try
        {
            return Parse(File.ReadAllText(file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // No IPv6, or it has ended.
            return 0;
        }
    }
}
