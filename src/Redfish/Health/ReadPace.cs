using Evacuator.Redfish.Events;

namespace Evacuator.Redfish.Health;

/// <summary>
/// How often everything is read. Where nothing tells of events, reading is the only way to know, as often as configured. While a stream or a subscription is heard, a
/// whole read is the slow truth behind the events: so slow that it and the looks at the listening itself cost the BMC no more than one request a minute.
/// </summary>
public static class ReadPace
{
    /// <summary>For each request of a whole read, this long until the next one. The other half of the minute is the listener's.</summary>
    private static readonly TimeSpan PerRequest = TimeSpan.FromMinutes(2);

    /// <summary>However large the machine, and however well its events are heard.</summary>
    private static readonly TimeSpan Slowest = TimeSpan.FromHours(6);

    /// <param name="requests">what the last whole read cost</param>
    /// <param name="listening">how events come in now</param>
    /// <param name="configured">the interval where they do not</param>
    public static TimeSpan Between(int requests, ListeningState listening, TimeSpan configured)
    {
        if (listening is not { Hearing: true, Mode: ListenMode.Sse or ListenMode.Push })
            return configured;
        TimeSpan slow = PerRequest * Math.Max(1, requests);
        slow = slow < Slowest ? slow : Slowest;
        return slow > configured ? slow : configured;
    }
}
