using System.Text;
using Evacuator.Redfish.Events;

namespace Evacuator.Redfish.Tests.Events;

public sealed class SseParserTests
{
    private const string Stream = ": hello\r\n\r\nid: 7\ndata: {\ndata:  \"Events\": []\ndata:}\n\nevent: x\nretry: 100\n\ndata: second\r\rdata: third\r\n\r\n";

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(1000)]
    public void Push_AnySplit_YieldsTheSameEvents(int pieces)
    {
        SseParser parser = new(1000);
        List<SseEvent> events = [];
        byte[] bytes = Encoding.UTF8.GetBytes(Stream);
        for (int at = 0; at < bytes.Length; at += pieces)
            parser.Push(bytes.AsSpan(at, Math.Min(pieces, bytes.Length - at)), events);
        Assert.Equal(["{\n \"Events\": []\n}", "second", "third"], events.Select(e => Encoding.UTF8.GetString(e.Data)));
        Assert.Equal(["7", null, null], events.Select(e => e.Id));
        Assert.DoesNotContain(events, e => e.TooLarge);
    }

    [Fact]
    public void Push_EventBeyondTheLimit_IsMarkedAndTheNextIsWhole()
    {
        SseParser parser = new(64);
        List<SseEvent> events = [];
        parser.Push(Encoding.UTF8.GetBytes($"data: {new string('x', 5000)}\ndata: y\n\ndata: small\n\n"), events);
        Assert.Equal(2, events.Count);
        Assert.True(events[0].TooLarge);
        Assert.InRange(events[0].Data.Length, 1, 66);
        Assert.Equal(("small", false), (Encoding.UTF8.GetString(events[1].Data), events[1].TooLarge));
    }

    [Fact]
    public void Push_ManyLinesBeyondTheLimit_StayBounded()
    {
        SseParser parser = new(64);
        List<SseEvent> events = [];
        for (int i = 0; i < 1000; i++)
            parser.Push("data: 0123456789\n"u8, events);
        parser.Push("\n"u8, events);
        Assert.True(Assert.Single(events).TooLarge);
        Assert.InRange(events[0].Data.Length, 1, 64 + 1000);
    }

    [Fact]
    public void Push_EventCutByTheEnd_IsNotDelivered()
    {
        SseParser parser = new(1000);
        List<SseEvent> events = [];
        parser.Push("data: {\"Events\":[{\"MessageId\":\"X\"}]}\n"u8, events);
        Assert.Empty(events);
    }
}
