using Evacuator.Redfish.Events;
using Evacuator.Redfish.Health;

namespace Evacuator.Redfish.Tests.Health;

public sealed class ReadPaceTests
{
    private static readonly TimeSpan Configured = TimeSpan.FromMinutes(5);

    [Theory]
    [InlineData(ListenMode.Sse, true, 40, 80)]
    [InlineData(ListenMode.Push, true, 131, 262)]
    [InlineData(ListenMode.Sse, true, 1, 5)]
    [InlineData(ListenMode.Sse, true, 4000, 360)]
    [InlineData(ListenMode.Sse, false, 40, 5)]
    [InlineData(ListenMode.Poll, true, 40, 5)]
    [InlineData(ListenMode.None, false, 40, 5)]
    public void Between_EventsAreHeardOrNot_IsSlowOrAsConfigured(ListenMode mode, bool hearing, int requests, int minutes)
    {
        ListeningState listening = new(mode, "", hearing, default, null, null);
        Assert.Equal(TimeSpan.FromMinutes(minutes), ReadPace.Between(requests, listening, Configured));
    }

    [Theory]
    [InlineData(40)]
    [InlineData(131)]
    public void Between_WithTheListenersOwnLooks_CostsAtMostOneRequestAMinute(int requests)
    {
        TimeSpan between = ReadPace.Between(requests, new ListeningState(ListenMode.Sse, "", true, default, null, null), Configured);
        double perMinute = (requests / between.TotalMinutes) + (1 / new BmcListenerOptions { SystemUri = "/" }.LivenessInterval.TotalMinutes);
        Assert.InRange(perMinute, 0.1, 1.0);
    }
}
