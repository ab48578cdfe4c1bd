using System.Net.Sockets;
using Evacuator.Common.Hosting;
using Evacuator.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Evacuator.Common.Tests.Hosting;

public sealed class SystemdWatchdogTests : IDisposable
{
    private readonly Socket _systemd = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
    private readonly SystemdNotify _notify;
    private readonly ManualTime _time = new();

    public SystemdWatchdogTests()
    {
        string name = $"evacuator-test-{Guid.NewGuid():N}";
        _systemd.Bind(new UnixDomainSocketEndPoint('\0' + name));
        _notify = new SystemdNotify('@' + name);
    }

    public void Dispose()
    {
        _notify.Dispose();
        _systemd.Dispose();
    }

    [Fact]
    public void Turn_OneLoopStalls_IsFedAgainOnlyWhenItMoves()
    {
        Heartbeat lively = new("lively", TimeSpan.FromSeconds(10), _time);
        Heartbeat slow = new("slow", TimeSpan.FromSeconds(20), _time);
        using SystemdWatchdog watchdog = new(_notify, [lively, slow], _time, NullLogger<SystemdWatchdog>.Instance);

        Assert.True(watchdog.Turn());
        for (int turn = 0; turn < 4; turn++)
        {
            _time.Advance(TimeSpan.FromSeconds(5));
            lively.Beat();
        }

        Assert.True(watchdog.Turn());
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("no turn for 21s, permitted are 20s", slow.WhyStalled());
        Assert.Null(lively.WhyStalled());
        Assert.False(watchdog.Turn());
        slow.Beat();
        Assert.True(watchdog.Turn());

        Assert.Equal(3, Feeds());
    }

    [Theory]
    [InlineData("30000000", null, 30.0)]
    [InlineData("30000000", "own", 30.0)]
    [InlineData("500000", "", 0.5)]
    [InlineData(null, null, null)]
    [InlineData("0", null, null)]
    [InlineData("-5", null, null)]
    [InlineData("30000000", "1", null)]
    public void Period_SystemdsVariables_SayWhetherAndHowOften(string? microseconds, string? pid, double? seconds)
    {
        string? id = pid == "own" ? Environment.ProcessId.ToString() : pid;

        Assert.Equal(seconds, SystemdWatchdog.Period(microseconds, id)?.TotalSeconds);
    }

    /// <summary>What systemd has got so far; each datagram is one feed.</summary>
    private int Feeds()
    {
        int feeds = 0;
        byte[] buffer = new byte[64];
        _systemd.Blocking = false;
        while (true)
        {
            try
            {
                Assert.Equal("WATCHDOG=1", System.Text.Encoding.UTF8.GetString(buffer, 0, _systemd.Receive(buffer)));
                feeds++;
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.WouldBlock)
            {
                return feeds;
            }
        }
    }
}
