using System.Globalization;
using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;
using Evacuator.Testing;

namespace Evacuator.Lab.BmcSimulator.Tests;

public sealed class EventTests
{
    private const string Short = """{"MessageId":"IDRAC.2.8.MEM0005","OriginOfCondition":"/redfish/v1/Systems/1/Memory/DIMM_A1","Severity":"Critical"}""";

    public static TheoryData<string> ShippedEvents => [.. Directory.GetFiles(Path.Combine(Prerequisites.ProjectRoot, "lab", "events"), "*.json").Select(file => Path.GetFileName(file)!)];

    [Fact]
    public async Task Stream_PostedEvent_ArrivesWithIdAndIsLogged()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        using StreamReader stream = await client.OpenStreamAsync();
        await bmc.WhenStreamsAreAsync(1, CancellationToken.None);
        bmc.PostEvent(Short);
        bmc.Patch(BmcClient.Dimm, """{"Status":{"Health":"Warning"}}""");

        (string? id, JsonObject first) = (await BmcClient.NextEventAsync(stream))!.Value;
        JsonNode record = ((JsonArray)first["Events"]!).Single()!;
        Assert.Equal("1", id);
        Assert.Equal("IDRAC.2.8.MEM0005", record.Get("MessageId").Text());
        Assert.Equal(BmcClient.Dimm, record.Get("OriginOfCondition").Link());
        (id, JsonObject second) = (await BmcClient.NextEventAsync(stream))!.Value;
        Assert.Equal("2", id);
        Assert.EndsWith("ResourceStatusChangedWarning", ((JsonArray)second["Events"]!)[0].Get("MessageId").Text(), StringComparison.Ordinal);

        JsonObject log = (await client.GetAsync(BmcClient.Entries)).Body;
        Assert.Equal(2, log.Get("Members@odata.count").Number());
        Answer entry = await client.GetAsync(((JsonArray)log["Members"]!)[0].Link()!);
        Assert.Equal("Critical", entry.Body.Get("Severity").Text());
        Assert.Equal(BmcClient.Dimm, entry.Body.Get("Links").Get("OriginOfCondition").Link());
    }

    [Fact]
    public async Task Stream_LastEventId_ReplaysWhatCameAfter()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.PostEvent(Short);
        bmc.PostEvent(Short);
        bmc.PostEvent(Short);
        using StreamReader stream = await client.OpenStreamAsync(lastEventId: "2");
        Assert.Equal("3", (await BmcClient.NextEventAsync(stream))!.Value.Id);
    }

    [Theory]
    [MemberData(nameof(ShippedEvents))]
    public async Task ShippedEvent_Posted_NamesResourcesThatExist(string file)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        bmc.PostEvent(await File.ReadAllTextAsync(Path.Combine(Prerequisites.ProjectRoot, "lab", "events", file)));
        JsonNode entry = ((JsonArray)bmc.Read(BmcClient.Entries)!["Members"]!).Single()!;
        Assert.NotNull(bmc.Read(entry.Get("Links").Get("OriginOfCondition").Link()!));
        Assert.Contains('.', entry.Get("MessageId").Text()!);
    }

    [Fact]
    public async Task ShippedEvent_PredictedMemory_SetsTheDimmToo()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        bmc.PostEvent(await File.ReadAllTextAsync(Path.Combine(Prerequisites.ProjectRoot, "lab", "events", "predicted-memory.json")));
        Assert.Equal("Warning", bmc.Read(BmcClient.Dimm).Get("Status").Get("Health").Text());
        Assert.True(bmc.Read(BmcClient.Dimm + "/MemoryMetrics").Get("HealthData").Get("AlarmTrips").Get("CorrectableECCError").Flag());
    }

    [Theory]
    [InlineData("""{"Severity":"Critical"}""")]
    [InlineData("""{"MessageId":"A.1.0.B","Patch":{}}""")]
    [InlineData("""{"MessageId":"A.1.0.B","Patch":[{"uri":"/redfish/v1/Systems/1"}]}""")]
    public async Task PostEvent_OfNoForm_RefusedAndNothingLogged(string json)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        Assert.Throws<FormatException>(() => bmc.PostEvent(json));
        Assert.Throws<KeyNotFoundException>(() => bmc.PostEvent("""{"MessageId":"A.1.0.B","Patch":[{"uri":"/redfish/v1/Systems/9","body":{}}]}"""));
        Assert.Empty((JsonArray)bmc.Read(BmcClient.Entries)!["Members"]!);
    }

    [Fact]
    public async Task Log_LongerThanAPage_IsReadByNextLinks()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { LogPageSize = 4, LogLimit = 10 });
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        for (int i = 1; i <= 13; i++)
        {
            bmc.PostEvent(string.Create(CultureInfo.InvariantCulture, $$"""{"MessageId":"Lab.1.0.N{{i}}"}"""));
        }

        var read = new List<string>();
        int pages = 0;
        for (string? uri = BmcClient.Entries; uri is not null; pages++)
        {
            JsonObject page = (await client.GetAsync(uri)).Body;
            Assert.Equal(10, page.Get("Members@odata.count").Number());
            read.AddRange(((JsonArray)page["Members"]!).Select(entry => entry.Get("MessageId").Text()!));
            uri = page.Get("Members@odata.nextLink").Text();
        }

        // The ring keeps the last ten; the first three have been overwritten.
        Assert.Equal(Enumerable.Range(4, 10).Select(i => $"Lab.1.0.N{i}"), read);
        Assert.Equal(3, pages);
        Assert.Equal(204, (await client.PostAsync("/redfish/v1/Systems/1/LogServices/EventLog/Actions/LogService.ClearLog", "{}")).Status);
        Assert.Empty((JsonArray)(await client.GetAsync(BmcClient.Entries)).Body["Members"]!);
    }

    [Fact]
    public async Task SubmitTestEvent_ReachesTheStream_AndNeedsAMessageId()
    {
        const string action = "/redfish/v1/EventService/Actions/EventService.SubmitTestEvent";
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        using StreamReader stream = await client.OpenStreamAsync();
        await bmc.WhenStreamsAreAsync(1, CancellationToken.None);
        Assert.Equal(400, (await client.PostAsync(action, "{}")).Status);
        Assert.Equal(204, (await client.PostAsync(action, """{"MessageId":"ResourceEvent.1.4.TestMessage"}""")).Status);
        JsonObject received = (await BmcClient.NextEventAsync(stream))!.Value.Event;
        Assert.Equal("ResourceEvent.1.4.TestMessage", ((JsonArray)received["Events"]!)[0].Get("MessageId").Text());
    }

    [Fact]
    public async Task Stream_MoreThanTheLimit_Answers200AndEnds()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        var streams = new List<StreamReader>();
        for (int i = 0; i < 10; i++)
        {
            streams.Add(await client.OpenStreamAsync());
        }

        await bmc.WhenStreamsAreAsync(10, CancellationToken.None);
        using StreamReader refused = await client.OpenStreamAsync();
        Assert.Null(await BmcClient.NextEventAsync(refused));
        streams.ForEach(stream => stream.Dispose());
        await bmc.WhenStreamsAreAsync(0, CancellationToken.None);
    }
}
