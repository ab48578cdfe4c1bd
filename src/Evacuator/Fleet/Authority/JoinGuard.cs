using System.Net;
using System.Net.Sockets;

namespace Evacuator.Fleet.Authority;

/// <summary>How often one address may show a wrong token: it keeps logs and the disk quiet, the secret's length keeps the door.</summary>
internal sealed class JoinGuard(TimeProvider time)
{
    public const int MaxFailures = 10;

    public static readonly TimeSpan Window = TimeSpan.FromMinutes(10);

    /// <summary>More addresses than this at once are one attacker with many: the oldest is forgotten.</summary>
    private const int MaxAddresses = 1024;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, List<DateTimeOffset>> _failures = [];

    /// <summary>How long this address has to wait; null: not at all.</summary>
    public TimeSpan? Waits(IPAddress? address)
    {
        lock (_lock)
        {
            if (!_failures.TryGetValue(Group(address), out List<DateTimeOffset>? failures))
                return null;
            DateTimeOffset now = time.GetUtcNow();
            failures.RemoveAll(at => at + Window <= now);
            return failures.Count >= MaxFailures ? failures[0] + Window - now : null;
        }
    }

    public void Failed(IPAddress? address)
    {
        lock (_lock)
        {
            string group = Group(address);
            if (!_failures.TryGetValue(group, out List<DateTimeOffset>? failures))
            {
                if (_failures.Count >= MaxAddresses)
                    _failures.Remove(_failures.MinBy(pair => pair.Value.Count > 0 ? pair.Value[^1] : DateTimeOffset.MinValue).Key);
                _failures[group] = failures = [];
            }

            if (failures.Count < MaxFailures)
                failures.Add(time.GetUtcNow());
        }
    }

    /// <summary>One host has a whole /64 of IPv6.</summary>
    private static string Group(IPAddress? address)
    {
        if (address is null)
            return "";
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        return address.AddressFamily == AddressFamily.InterNetworkV6 ? Convert.ToHexString(address.GetAddressBytes()[..8]) : address.ToString();
    }
}
