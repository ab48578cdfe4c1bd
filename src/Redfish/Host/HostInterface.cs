using System.Net;

namespace Evacuator.Redfish.Host;

/// <summary>One way from this host to its own BMC, as the firmware tells it (SMBIOS type 42 with Redfish over IP, DSP0270).</summary>
/// <param name="DeviceType">2 or 4: a network device on USB; 3 or 5: on PCI Express; 128 and more: of the maker</param>
/// <param name="HostAddress">what this host is to call itself there; null where it is not fixed</param>
/// <param name="ServiceAddress">where Redfish is served; null where the firmware does not say</param>
/// <param name="Port">443 where the firmware says 0</param>
/// <param name="ServiceName">host name of the service; null where there is none</param>
public sealed record HostInterface(byte DeviceType, IPAddress? HostAddress, IPAddress? ServiceAddress, int Port, string? ServiceName)
{
    /// <summary>Where to ask; null where the record names neither address nor name.</summary>
    public Uri? Url =>
        (ServiceAddress?.ToString() ?? ServiceName) is { } host && Uri.TryCreate(new UriBuilder(Uri.UriSchemeHttps, host, Port).ToString(), UriKind.Absolute, out Uri? url) ? url : null;

    public string Device => DeviceType switch
    {
        2 or 4 => "USB",
        3 or 5 => "PCI Express",
        _ => $"device type {DeviceType:x2}h",
    };
}
