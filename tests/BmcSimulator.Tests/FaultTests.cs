using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Lab.BmcSimulator.Model;
using Evacuator.Lab.BmcSimulator.Power;

namespace Evacuator.Lab.BmcSimulator.Tests;

public sealed class FaultTests
{
    private const string Memory = BmcClient.System + "/Memory";

    [Fact]
    public async Task SessionDropped_401OnceAndSessionIsGone()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.SessionDropped, Count = 1 });
        Assert.Equal(401, (await client.GetAsync(BmcClient.System)).Status);
        Assert.Empty(bmc.Sessions);
        using BmcClient again = await BmcClient.LogInToAsync(bmc);
        Assert.Equal(200, (await again.GetAsync(BmcClient.System)).Status);
    }

    [Fact]
    public async Task SessionTableFull_LogInRefusedAsOftenAsCounted()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using var client = new BmcClient(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.SessionTableFull, Count = 2 });
        Assert.Equal(503, (await client.LogInAsync()).Status);
        Assert.Equal("SessionLimitExceeded", (await client.LogInAsync()).MessageId);
        Assert.Equal(201, (await client.LogInAsync()).Status);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(7)]
    public async Task Unavailable_503WithRetryAfterAsGiven(int? retryAfter)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.Unavailable, Count = 1, RetryAfter = retryAfter, Uri = BmcClient.System, Method = "GET" });
        Assert.Equal(200, (await client.GetAsync(BmcClient.Chassis)).Status);
        Assert.Equal(200, (await client.PatchAsync(BmcClient.System, """{"AssetTag":"x"}""")).Status);
        Answer answer = await client.GetAsync(BmcClient.System);
        Assert.Equal(503, answer.Status);
        Assert.Equal(retryAfter, answer.Headers.RetryAfter?.Delta?.TotalSeconds is { } seconds ? (int)seconds : null);
        Assert.Equal(200, (await client.GetAsync(BmcClient.System)).Status);
    }

    [Fact]
    public async Task Duration_Over_FaultIsGone()
    {
        var time = new ManualTime();
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Time = time });
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.Unavailable, Seconds = 20 });
        time.Advance(TimeSpan.FromSeconds(19));
        Assert.Equal(503, (await client.GetAsync(BmcClient.System)).Status);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(200, (await client.GetAsync(BmcClient.System)).Status);
    }

    [Fact]
    public async Task Stall_RequestWaitsAndCountsAsOpen()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.Stall, Count = 1, Stall = 600, Uri = BmcClient.System });
        Task<Answer> stalled = client.GetAsync(BmcClient.System);
        Assert.True(SpinWait.SpinUntil(() => bmc.Requests.CountOf("GET", BmcClient.System) == 1, TimeSpan.FromSeconds(20)));
        Assert.Equal(200, (await client.GetAsync(BmcClient.Chassis)).Status);
        Assert.False(stalled.IsCompleted);
        Assert.Equal(2, bmc.Requests.HighestConcurrency);
        await bmc.DisposeAsync(); // Ends at once, though a request is held up.
        await Assert.ThrowsAsync<HttpRequestException>(() => stalled);
    }

    [Theory]
    [InlineData(FaultKind.HalfBody)]
    [InlineData(FaultKind.Disconnect)]
    public async Task BrokenConnection_ClientSeesAnErrorAndTheNextRequestWorks(FaultKind kind)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        // More than once, since the runtime's client sends a GET again by itself when a kept connection breaks before the first byte.
        bmc.AddFault(new Fault { Kind = kind, Count = kind == FaultKind.Disconnect ? 20 : 1, Uri = BmcClient.System });
        await Assert.ThrowsAsync<HttpRequestException>(() => client.GetAsync(BmcClient.System));
        bmc.ClearFaults();
        Assert.Equal(200, (await client.GetAsync(BmcClient.System)).Status);
    }

    [Fact]
    public async Task HugeBody_IsAsLongAsAsked()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        int usual = (await client.GetAsync(BmcClient.System)).Text.Length;
        bmc.AddFault(new Fault { Kind = FaultKind.HugeBody, Count = 1, Size = 1_000_000 });
        Assert.Equal(usual + 1_000_000, (await client.GetAsync(BmcClient.System)).Text.Length);
    }

    [Fact]
    public async Task Redirect_LeadsToAnotherHost()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.Redirect, Count = 1 });
        Answer answer = await client.GetAsync(BmcClient.System);
        Assert.Equal(302, answer.Status);
        Assert.NotEqual(bmc.BaseAddress.Host, answer.Headers.Location!.Host);
        Assert.Equal(BmcClient.System, answer.Headers.Location.AbsolutePath);
    }

    [Fact]
    public async Task NextLinkLoop_CollectionLeadsToItselfForEver()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.NextLinkLoop });
        string? next = Memory;
        for (int i = 0; i < 5; i++)
        {
            next = (await client.GetAsync(next!)).Body.Get("Members@odata.nextLink").Text();
            Assert.Equal(Memory, ResourceUri.Normalise(next!));
        }
    }

    [Fact]
    public async Task MissingMembers_404ThoughListed_ButNotTheSystem()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.MissingMembers });
        Assert.Equal(200, (await client.GetAsync(BmcClient.System)).Status);
        Assert.Contains(BmcClient.Dimm, (await client.GetAsync(Memory)).Body.Get("Members").Links());
        Assert.Equal(404, (await client.GetAsync(BmcClient.Dimm)).Status);
        bmc.AddFault(new Fault { Kind = FaultKind.MissingMembers, Uri = BmcClient.System });
        Assert.Equal(404, (await client.GetAsync(BmcClient.System)).Status);
    }

    [Fact]
    public async Task Removed_404UntilTheEnd()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.Remove(BmcClient.Dimm);
        Assert.Equal(404, (await client.GetAsync(BmcClient.Dimm)).Status);
        Assert.Equal(200, (await client.GetAsync(Memory)).Status);
    }

    [Fact]
    public async Task WrongTypes_NothingIsWhatItShouldBe_LinksStay()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.WrongTypes, Count = 1 });
        JsonObject system = (await client.GetAsync(BmcClient.System)).Body;
        Assert.Equal(JsonValueKind.Number, system["SerialNumber"]!.GetValueKind());
        Assert.Equal(JsonValueKind.String, system["LocationIndicatorActive"]!.GetValueKind());
        Assert.Equal(JsonValueKind.String, system["Status"]!.GetValueKind());
        Assert.Equal("N/A", system.Get("MemorySummary").Get("TotalSystemMemoryGiB").Text());
        Assert.Equal(Memory, system.Get("Memory").Link());
    }

    [Fact]
    public async Task DuplicateKeys_StandThreeTimes()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.DuplicateKeys, Count = 1 });
        string text = (await client.GetAsync(BmcClient.Dimm)).Text;
        Assert.Equal(3, text.Split("\"Health\":", StringSplitOptions.None).Length);
        Assert.Equal(2, text.Split("\"health\":", StringSplitOptions.None).Length);
    }

    [Theory]
    [InlineData(1970)]
    [InlineData(9999)]
    public async Task Clock_EveryTimeIsInThatYear(int year)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.Clock, Year = year });
        using StreamReader stream = await client.OpenStreamAsync();
        await bmc.WhenStreamsAreAsync(1, CancellationToken.None);
        bmc.PostEvent("""{"MessageId":"Lab.1.0.Any"}""");
        JsonObject received = (await BmcClient.NextEventAsync(stream))!.Value.Event;
        Assert.StartsWith($"{year}-", ((JsonArray)received["Events"]!)[0].Get("EventTimestamp").Text(), StringComparison.Ordinal);
        Answer manager = await client.GetAsync("/redfish/v1/Managers/1");
        Assert.StartsWith($"{year}-", manager.Body.Get("DateTime").Text(), StringComparison.Ordinal);
        Assert.Equal(year, manager.Headers.Date!.Value.Year);
        Assert.StartsWith($"{year}-", ((JsonArray)(await client.GetAsync(BmcClient.Entries)).Body["Members"]!)[0].Get("Created").Text(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task SseEnds_200AndEnd()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.SseEnds, Count = 1 });
        using StreamReader stream = await client.OpenStreamAsync();
        Assert.Null(await BmcClient.NextEventAsync(stream));
    }

    [Fact]
    public async Task ETagMismatch_412TwiceThenTaken()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        string tag = (await client.GetAsync(BmcClient.System)).Headers.ETag!.Tag;
        bmc.AddFault(new Fault { Kind = FaultKind.ETagMismatch, Count = 2 });
        Assert.Equal(412, (await client.PatchAsync(BmcClient.System, """{"AssetTag":"A"}""", tag)).Status);
        Assert.Equal(412, (await client.PatchAsync(BmcClient.System, """{"AssetTag":"A"}""")).Status);
        Assert.Equal(200, (await client.PatchAsync(BmcClient.System, """{"AssetTag":"A"}""")).Status);
    }

    [Fact]
    public async Task ETagRequired_428WithoutAndTakenWith()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.ETagRequired });
        Assert.Equal(428, (await client.PatchAsync(BmcClient.System, """{"AssetTag":"A"}""")).Status);
        string tag = (await client.GetAsync(BmcClient.System)).Headers.ETag!.Tag;
        Assert.Equal(200, (await client.PatchAsync(BmcClient.System, """{"AssetTag":"A"}""", tag)).Status);
    }

    [Fact]
    public async Task ETagWeak_OnlyTheStrongFormIsTaken()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.ETagWeak });
        var tag = (await client.GetAsync(BmcClient.System)).Headers.ETag!;
        Assert.True(tag.IsWeak);
        Assert.Equal(412, (await client.PatchAsync(BmcClient.System, """{"AssetTag":"A"}""", "W/" + tag.Tag)).Status);
        Assert.Equal(200, (await client.PatchAsync(BmcClient.System, """{"AssetTag":"A"}""", tag.Tag)).Status);
    }

    [Fact]
    public async Task Restart_SessionsStreamsAndIdsAreGone_SubscriptionsAndMachineStay()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        await client.PostAsync(BmcClient.Subscriptions, """{"Destination":"https://127.0.0.1:9/x","Protocol":"Redfish"}""");
        bmc.PostEvent("""{"MessageId":"Lab.1.0.Before"}""");
        using StreamReader stream = await client.OpenStreamAsync();
        await bmc.WhenStreamsAreAsync(1, CancellationToken.None);
        bmc.AddFault(new Fault { Kind = FaultKind.Restart });
        await Assert.ThrowsAnyAsync<IOException>(() => BmcClient.NextEventAsync(stream));
        Assert.Equal(401, (await client.GetAsync(BmcClient.System)).Status);

        using BmcClient again = await BmcClient.LogInToAsync(bmc);
        Assert.Single(bmc.Subscriptions);
        Assert.Equal("On", await again.PowerStateAsync());
        using StreamReader next = await again.OpenStreamAsync(lastEventId: "1");
        await bmc.WhenStreamsAreAsync(1, CancellationToken.None);
        bmc.PostEvent("""{"MessageId":"Lab.1.0.After"}""");
        Assert.Equal("1", (await BmcClient.NextEventAsync(next))!.Value.Id);
    }

    [Fact]
    public async Task PowerStale_ShowsTheOldStateUntilItIsOver()
    {
        var time = new ManualTime();
        var machine = new SimulatedMachine(true);
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Time = time, Machine = machine.Hooks });
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.PowerStale, Seconds = 60 });
        machine.Running = false;
        Assert.Equal("On", await client.PowerStateAsync());
        time.Advance(TimeSpan.FromSeconds(61));
        Assert.Equal("Off", await client.PowerStateAsync());
    }

    [Fact]
    public async Task ResetIgnored_AcceptedAndNothingHappens()
    {
        var machine = new SimulatedMachine(true);
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Machine = machine.Hooks });
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.ResetIgnored, Count = 1 });
        Assert.Equal(204, (await client.ResetAsync("ForceOff")).Status);
        await bmc.WhenPowerSettledAsync();
        Assert.True(machine.Running);
    }

    [Fact]
    public async Task CertificateChanged_OldFingerprintIsRefusedAndNewOneWorks()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        string before = bmc.Fingerprint;
        bmc.AddFault(new Fault { Kind = FaultKind.CertificateChanged });
        Assert.NotEqual(before, bmc.Fingerprint);
        await Assert.ThrowsAsync<HttpRequestException>(() => client.GetAsync(BmcClient.System));
        using var pinned = new BmcClient(bmc);
        Assert.Equal(200, (await pinned.GetAsync("/redfish/v1")).Status);
    }

    [Theory]
    [InlineData("""{"kind":"unavailable","count":3,"retryAfter":2}""", FaultKind.Unavailable)]
    [InlineData("""[{"kind":"next-link-loop"}]""", FaultKind.NextLinkLoop)]
    [InlineData("""{"faults":[{"kind":"sse-ends","seconds":1.5}]}""", FaultKind.SseEnds)]
    [InlineData("""{"kind":"etag-mismatch"}""", FaultKind.ETagMismatch)]
    [InlineData("""{"kind":"etag-weak"}""", FaultKind.ETagWeak)]
    public void Parse_AnyForm_OneFault(string json, FaultKind kind) => Assert.Equal(kind, Fault.Parse(Encoding.UTF8.GetBytes(json)).Single().Kind);

    [Theory]
    [InlineData("""{"kind":"no-such-kind"}""")]
    [InlineData("""{"kind":"stall","secnods":3}""")]
    [InlineData("""{"count":3}""")]
    [InlineData("""{"kind":"none"}""")]
    [InlineData("""7""")]
    public void Parse_Unknown_Refused(string json) => Assert.Throws<JsonException>(() => Fault.Parse(Encoding.UTF8.GetBytes(json)));
}
