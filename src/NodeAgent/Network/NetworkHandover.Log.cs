using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Network;

internal sealed partial class NetworkHandover
{
    [LoggerMessage(2000, LogLevel.Debug, "{Container}: {Interface} cut off from its bridge in {Microseconds} µs")]
    private partial void LogDisconnected(string container, string @interface, long microseconds);

    [LoggerMessage(2001, LogLevel.Information, "{Container}: network connected and announced ({Frames} frames) in {Microseconds} µs")]
    private partial void LogConnected(string container, int frames, long microseconds);

    [LoggerMessage(2002, LogLevel.Information, "{Container}: bridge port of {Interface} cannot be disabled (errno {Errno}), set down instead")]
    private partial void LogPortNotOurs(string container, string @interface, int errno);

    [LoggerMessage(2003, LogLevel.Debug, "{Container}: announcement on {Interface} could not be sent; the link is down or gone")]
    private partial void LogAnnouncementLost(string container, string @interface);

    [LoggerMessage(2004, LogLevel.Information, "{Container}: network settings not available on this host and left as they are: {Settings}")]
    private partial void LogSettingsLeft(string container, string settings);

    [LoggerMessage(2005, LogLevel.Information, "{Container}: the host's end of {Interface} is called {HostName} here, {Wanted} was taken")]
    private partial void LogRenamed(string container, string @interface, string hostName, string wanted);

    [LoggerMessage(2006, LogLevel.Warning, "{Container}: {HostName} has the hardware address {Found} instead of {Expected}: it belongs to someone else and stays")]
    private partial void LogStranger(string container, string hostName, string? found, string? expected);

    [LoggerMessage(2007, LogLevel.Information, "{Container}: network prepared in {Namespace}, link down")]
    private partial void LogPrepared(string container, string @namespace);

    [LoggerMessage(2008, LogLevel.Information, "{Container}: network removed ({Namespace})")]
    private partial void LogRemoved(string container, string @namespace);

    [LoggerMessage(2009, LogLevel.Information, "{Container}: {Frames} frames that came while it stood still have been delivered")]
    private partial void LogFramesDelivered(string container, int frames);

    [LoggerMessage(2010, LogLevel.Warning, "{Container}: {Frames} frames that came while it stood still have been delivered, {Dropped} had no room or could not be")]
    private partial void LogFramesDropped(string container, int frames, long dropped);
}
