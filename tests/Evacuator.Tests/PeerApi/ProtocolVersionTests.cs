using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Fleet;
using Evacuator.Journal;
using Evacuator.Placement;
using Evacuator.Tests.Fakes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Evacuator.Tests.PeerApi;

/// <summary>Nodes of this release with those of the one before and of later ones: what is on the wire, and what is said where nothing is in common.</summary>
public sealed class ProtocolVersionTests
{
    /// <summary>What a brain of version 1 answered, as it was sent.</summary>
    private const string CapacityOfVersion1 = """
        {"node":"node2","version":"0.1.0","host":{"node":"node2","bootId":"b","agentVersion":"0.1.0","protocolVersion":1,"kernel":"6.12.0","memoryTotal":17179869184,
         "memoryAvailable":8589934592,"memoryReserved":0,"diskAvailable":107374182400,"cpus":8,"loadAverage":0.1,"inboundOpen":true,"cpuFeatures":null,"keptBundles":[],"requirements":[]},
         "closed":null,"intends":false,"spreadGroups":[],"zone":"","rack":"","containerNames":["c9"],"containerAddresses":["10.0.9.9"],"degraded":null,"nextWindow":null}
        """;

    private const string ReservationReplyOfVersion1 = """{"accepted":true,"token":"0123456789abcdef","blockers":[]}""";

    /// <summary>What a brain of version 1 sent, as it was sent.</summary>
    private const string ReservationOfVersion1 = """
        {"moveId":"9b2f0f0e-7a53-4a43-9a5a-0d2f3a0c7e11","evacuationId":"5f0c5a43-11de-4f6f-8f8e-0c35a2f8b001","container":CONTAINER,"home":"node1"}
        """;

    public static TheoryData<int, int, string?, int?> Agreements => new()
    {
        { 1, 2, null, 1 }, // version 1 knows no range
        { 2, 3, null, null },
        { 1, 2, "1-2", 2 },
        { 1, 2, "2-3", 2 },
        { 1, 2, "3-4", null },
        { 2, 3, "1-2", 2 },
        { 3, 4, "1-2", null },
        { 1, 2, "garbage", null },
        { 1, 2, "2", null },
        { 1, 2, "-5-2", null },
    };

    [Theory]
    [MemberData(nameof(Agreements))]
    public void Agree_HighestThatBothSpeak(int oldest, int current, string? range, int? expected) => Assert.Equal(expected, new ProtocolVersions(oldest, current).Agree(range));

    [Theory]
    [InlineData("1", 1)]
    [InlineData("2", 2)]
    [InlineData("0", null)]
    [InlineData("3", null)]
    [InlineData("+1", null)]
    [InlineData("", null)]
    [InlineData(null, null)]
    [InlineData("99999999999999999999", null)]
    public void Read_OnlyWhatIsSpoken(string? stated, int? expected) => Assert.Equal(expected, new ProtocolVersions(1, 2).Read(stated));

    [Fact]
    public async Task OlderPeer_IsSpokenWithInItsVersion_OneRequestIsLost()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        List<string> stated = [];
        int port = TestFleet.FreePort();
        await using WebApplication old = await OldBrainAsync(fleet["node2"], port, stated);
        using PeerClient client = new(new Peer("node2", "127.0.0.2"), port, fleet["node1"].Tls.HttpHandlerFor("node2"));

        PeerCapacity capacity = await client.GetCapacityAsync(default);
        ReservationReply reply = await client.ReserveAsync(new ReservationRequest(Guid.NewGuid(), Guid.NewGuid(), FakeRack.Container("c1"), "node1"), default);

        Assert.Equal(("node2", 8L << 30, null), (capacity.Node, capacity.Host!.MemoryAvailable, capacity.FleetNumber));
        Assert.Null(PeerDirectory.Judge(client.Peer, capacity, DateTimeOffset.MinValue).Excluded);
        Assert.Equal((true, "0123456789abcdef"), (reply.Accepted, reply.Token));
        Assert.Equal(1, client.ProtocolVersion);
        Assert.Equal(["2", "1", "1"], stated);
        // What version 1 does not know is an error of that request, not of the connection.
        Assert.Equal(HttpStatusCode.NotFound, (await Assert.ThrowsAsync<PeerException>(() => client.TellRosterAsync("{}", default))).Status);
    }

    [Fact]
    public async Task OlderCaller_GetsWhatItUnderstands()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        using HttpClient http = new(fleet["node1"].Tls.HttpHandlerFor("node2")) { BaseAddress = new Uri($"https://127.0.0.2:{fleet["node2"].Options.Fleet.BrainPort}") };
        http.DefaultRequestHeaders.Add("Evacuator-Protocol", "1");

        using JsonDocument capacity = JsonDocument.Parse(await http.GetStringAsync("/v1/capacity"));
        using JsonDocument expected = JsonDocument.Parse(CapacityOfVersion1);
        Assert.All(expected.RootElement.EnumerateObject(), property => Assert.True(capacity.RootElement.TryGetProperty(property.Name, out _), property.Name));
        Assert.All(expected.RootElement.GetProperty("host").EnumerateObject(), property => Assert.True(capacity.RootElement.GetProperty("host").TryGetProperty(property.Name, out _), property.Name));

        string container = JsonSerializer.Serialize(FakeRack.Container("c1"), ApiJson.Options);
        using StringContent body = new(ReservationOfVersion1.Replace("CONTAINER", container, StringComparison.Ordinal), Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await http.PostAsync("/v1/reservations", body);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        using JsonDocument reply = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        Assert.True(reply.RootElement.GetProperty("accepted").GetBoolean());
        Assert.Equal(1, fleet["node2"].Agent.OpenReservations);
    }

    [Theory]
    [InlineData(1, 1, 2, 3)] // one apart from what is between them, two apart from each other: node2 in the middle works with both
    [InlineData(1, 2, 2, 3)]
    public async Task MixedFleet_WhileItIsUpgraded_EvacuatesBothWays(int oldestFirst, int currentFirst, int oldestThird, int currentThird)
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 3, protocols: name => name switch
        {
            "node1" => new ProtocolVersions(oldestFirst, currentFirst),
            "node3" => new ProtocolVersions(oldestThird, currentThird),
            _ => new ProtocolVersions(1, 2),
        });
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");

        EvacuationReport there = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);
        Assert.Equal(EvacuationPhase.Done, there.State);
        string at = Assert.Single(there.Containers).To!;
        if (currentFirst == 1)
        {
            Assert.Equal("node2", at);
            ExcludedPeer apart = Assert.Single(there.ExcludedPeers);
            Assert.Equal(("node3", BlockerCode.PeerVersion), (apart.Name, apart.Code));
            Assert.Contains("node3 (Evacuator", apart.Reason, StringComparison.Ordinal);
            Assert.Contains("speaks protocol 3 and 2, the caller speaks protocol 1", apart.Reason, StringComparison.Ordinal);
        }

        await fleet["node1"].Service<EvacuationService>().ReopenAsync("test", default);
        EvacuationReport onward = await fleet[at].WaitForEndAsync((await fleet[at].EvacuateAsync()).Id);
        Assert.Equal(EvacuationPhase.Done, onward.State);
        Assert.Equal(MovePhase.Moved, Assert.Single(onward.Containers).State);
    }

    [Fact]
    public async Task TwoVersionsApart_BothAreNamedOnEitherSide()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2, protocols: name => name == "node1" ? new ProtocolVersions(3, 4) : new ProtocolVersions(1, 2));
        using PeerClient newer = new(new Peer("node2", "127.0.0.2"), fleet["node2"].Options.Fleet.BrainPort, fleet["node1"].Tls.HttpHandlerFor("node2"), protocol: new ProtocolVersions(3, 4));
        using PeerClient older = new(new Peer("node1", "127.0.0.1"), fleet["node1"].Options.Fleet.BrainPort, fleet["node2"].Tls.HttpHandlerFor("node1"), protocol: new ProtocolVersions(1, 2));

        PeerException fromNewer = await Assert.ThrowsAsync<PeerException>(() => newer.GetCapacityAsync(default));
        PeerException fromOlder = await Assert.ThrowsAsync<PeerException>(() => older.GetCapacityAsync(default));

        Assert.Equal((BlockerCode.PeerVersion, BlockerCode.PeerVersion), (fromNewer.Code, fromOlder.Code));
        Assert.Contains("node2 (Evacuator", fromNewer.Message, StringComparison.Ordinal);
        Assert.Contains("speaks protocol 2 and 1, the caller speaks protocol 4", fromNewer.Message, StringComparison.Ordinal);
        Assert.Contains("speaks protocol 4 and 3, the caller speaks protocol 2", fromOlder.Message, StringComparison.Ordinal);
        Assert.Contains("upgrade the older one", fromOlder.Message, StringComparison.Ordinal);
    }

    /// <summary>A brain of version 1: it takes "1" and nothing else, says so in words alone, and answers what it answered.</summary>
    private static async Task<WebApplication> OldBrainAsync(TestNode node, int port, List<string> stated)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Parse("127.0.0.2"), port, node.Tls.UseOn));
        WebApplication app = builder.Build();
        app.Use(async (context, next) =>
        {
            string version = context.Request.Headers["Evacuator-Protocol"].ToString();
            lock (stated)
                stated.Add(version);
            if (version == "1")
            {
                await next(context);
                return;
            }

            context.Response.StatusCode = StatusCodes.Status426UpgradeRequired;
            await context.Response.WriteAsJsonAsync(new ErrorReply($"node2 (Evacuator 0.1.0) speaks protocol 1, the caller speaks protocol {version}: install the same version on both"));
        });
        app.MapGet("/v1/capacity", () => Results.Text(CapacityOfVersion1, "application/json"));
        app.MapPost("/v1/reservations", () => Results.Text(ReservationReplyOfVersion1, "application/json"));
        await app.StartAsync();
        return app;
    }
}
