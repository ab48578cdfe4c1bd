using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Evacuator.Redfish.Events;
using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Tests.Events;

public sealed class LogPollerTests
{
    private const string Uri = "/redfish/v1/Systems/1/LogServices/Log/Entries";

    [Theory]
    [InlineData(false, 1000)]
    [InlineData(true, 1000)]
    [InlineData(false, 5)]
    [InlineData(true, 5)]
    public async Task Look_EntriesAppear_EachIsNewOnce(bool newestFirst, int pageSize)
    {
        FakeLog log = new(newestFirst, pageSize);
        for (int i = 0; i < 23; i++)
            log.Append($"old {i}");
        LogPoller poller = new(log, Uri);
        Assert.Empty((await poller.LookAsync(default)).New);
        Assert.Empty((await poller.LookAsync(default)).New);
        for (int round = 0; round < 4; round++)
        {
            log.Append($"new {round} a");
            log.Append($"new {round} b");
            LogLook look = await poller.LookAsync(default);
            Assert.Equal([$"new {round} a", $"new {round} b"], look.New.Select(e => e.Text("Message")));
            Assert.False(look.Lost);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Look_NothingHappens_CostsOneRequest(bool newestFirst)
    {
        FakeLog log = new(newestFirst, 5);
        for (int i = 0; i < 203; i++)
            log.Append($"old {i}");
        LogPoller poller = new(log, Uri);
        await poller.LookAsync(default);
        log.Requests = 0;
        for (int i = 0; i < 10; i++)
            await poller.LookAsync(default);
        Assert.Equal(10, log.Requests);
    }

    [Theory]
    [InlineData(false, 5)]
    [InlineData(true, 5)]
    [InlineData(false, 1000)]
    public async Task Look_LogClearedAndNumbersRestart_WhatCameAfterIsNew(bool newestFirst, int pageSize)
    {
        FakeLog log = new(newestFirst, pageSize);
        for (int i = 0; i < 23; i++)
            log.Append("same text");
        LogPoller poller = new(log, Uri);
        await poller.LookAsync(default);
        log.Clear();
        log.Append("same text", time: "2024-01-01T00:00:00Z");
        LogLook look = await poller.LookAsync(default);
        Assert.Equal("1", Assert.Single(look.New).Id);
        Assert.True(look.Lost);
        log.Append("next");
        Assert.Single((await poller.LookAsync(default)).New);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Look_FullLogWrapsAround_OnlyWhatIsNewIsNew(bool newestFirst)
    {
        FakeLog log = new(newestFirst, 1000) { Capacity = 20 };
        for (int i = 0; i < 20; i++)
            log.Append($"old {i}");
        LogPoller poller = new(log, Uri);
        await poller.LookAsync(default);
        log.Append("new");
        Assert.Equal("new", Assert.Single((await poller.LookAsync(default)).New).Text("Message"));
    }

    [Fact]
    public async Task Look_EntryChangesInPlace_IsNewAgain()
    {
        FakeLog log = new(false, 1000);
        log.Append("a");
        log.Append("b");
        LogPoller poller = new(log, Uri);
        await poller.LookAsync(default);
        log.Entries[0]["Oem"] = JsonNode.Parse("""{"Hpe":{"Repaired":true,"Count":2}}""");
        RedfishResource changed = Assert.Single((await poller.LookAsync(default)).New);
        Assert.True(EventRecord.FromLogEntry(changed).IsResolved);
    }

    [Fact]
    public async Task Look_LogUnreadable_SaysSoAndForgetsNothing()
    {
        FakeLog log = new(false, 5);
        for (int i = 0; i < 12; i++)
            log.Append($"old {i}");
        LogPoller poller = new(log, Uri);
        await poller.LookAsync(default);
        log.Broken = true;
        log.Append("while broken");
        Assert.False((await poller.LookAsync(default)).Read);
        log.Broken = false;
        Assert.Equal("while broken", Assert.Single((await poller.LookAsync(default)).New).Text("Message"));
    }

    [Fact]
    public async Task Look_StormOfEntries_IsBoundedAndSaidToBeLossy()
    {
        FakeLog log = new(false, 1000);
        LogPoller poller = new(log, Uri);
        await poller.LookAsync(default);
        for (int i = 0; i < 900; i++)
            log.Append($"storm {i}");
        LogLook look = await poller.LookAsync(default);
        Assert.True(look.Lost);
        Assert.InRange(look.New.Count, 1, 64);
        Assert.Equal("storm 899", look.New[^1].Text("Message"));
    }

    [Fact]
    public async Task Look_NextLinkLoop_Ends()
    {
        FakeLog log = new(false, 5) { LoopNextLink = true };
        for (int i = 0; i < 12; i++)
            log.Append($"old {i}");
        LogPoller poller = new(log, Uri);
        LogLook look = await poller.LookAsync(default);
        Assert.True(look.Read);
        Assert.InRange(log.Requests, 1, 3);
    }

    [Fact]
    public async Task Look_LinksOnly_NewOnesAreRead()
    {
        FakeLog log = new(false, 1000) { LinksOnly = true };
        log.Append("old");
        LogPoller poller = new(log, Uri);
        await poller.LookAsync(default);
        log.Append("new");
        Assert.Equal("new", Assert.Single((await poller.LookAsync(default)).New).Text("Message"));
    }

    private sealed class FakeLog(bool newestFirst, int pageSize) : IResourceReader
    {
        private int _last;

        public List<JsonObject> Entries { get; } = [];

        public int Capacity { get; init; } = int.MaxValue;

        public bool LinksOnly { get; init; }

        public bool LoopNextLink { get; init; }

        public bool Broken { get; set; }

        public int Requests { get; set; }

        public void Append(string message, string? time = null)
        {
            int id = ++_last;
            Entries.Add(new JsonObject
            {
                ["@odata.id"] = $"{Uri}/{id}",
                ["Id"] = id.ToString(CultureInfo.InvariantCulture),
                ["Created"] = time ?? $"2023-01-01T{id / 3600:00}:{id / 60 % 60:00}:{id % 60:00}Z",
                ["Message"] = message,
            });
            if (Entries.Count > Capacity)
                Entries.RemoveAt(0);
        }

        public void Clear()
        {
            Entries.Clear();
            _last = 0;
        }

        public Task<ReadResult> ReadAsync(string uri, CancellationToken cancel)
        {
            Requests++;
            if (Broken)
                return Task.FromResult(ReadResult.Failed(ReadOutcome.Unavailable, "broken"));
            if (Entries.FirstOrDefault(e => e["@odata.id"]!.ToString() == uri) is { } single)
                return Task.FromResult(Found(single, uri));
            int skip = uri.Contains("$skip=", StringComparison.Ordinal) ? int.Parse(uri.Split('=')[^1], CultureInfo.InvariantCulture) : 0;
            if (skip > 0 && skip >= Entries.Count)
                return Task.FromResult(ReadResult.Failed(ReadOutcome.Forbidden, "400"));
            IEnumerable<JsonObject> ordered = newestFirst ? Entries.AsEnumerable().Reverse() : Entries;
            JsonObject page = new()
            {
                ["@odata.id"] = Uri,
                ["Members@odata.count"] = Entries.Count,
                ["Members"] = new JsonArray([.. ordered.Skip(skip).Take(pageSize).Select(e => LinksOnly ? new JsonObject { ["@odata.id"] = e["@odata.id"]!.ToString() } : e.DeepClone())]),
            };
            if (LoopNextLink)
                page["Members@odata.nextLink"] = $"{Uri}?$skip=1";
            else if (skip + pageSize < Entries.Count)
                page["Members@odata.nextLink"] = $"{Uri}?$skip={skip + pageSize}";
            return Task.FromResult(Found(page, uri));
        }

        private static ReadResult Found(JsonObject body, string uri) =>
            ReadResult.Found(RedfishResource.TryParse(Encoding.UTF8.GetBytes(body.ToJsonString()), uri, null, out _)!);
    }
}
