using System.Net;
using System.Net.Http.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Fleet;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.PeerApi;

public sealed class PeerApiTests
{
    [Theory]
    [InlineData("9", "protocol 9")]
    [InlineData("x", "no known protocol")]
    [InlineData(null, "no known protocol")]
    public async Task AnyRequest_OtherProtocolVersion_IsToldWhichAndWhatToDo(string? version, string theirs)
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        using HttpClient http = Connect(fleet);
        if (version is not null)
            http.DefaultRequestHeaders.Add(ProtocolVersions.Header, version);
        using HttpResponseMessage response = await http.GetAsync(PeerRoutes.Capacity);

        Assert.Equal(HttpStatusCode.UpgradeRequired, response.StatusCode);
        string text = (await response.Content.ReadFromJsonAsync<ErrorReply>(ApiJson.Options))!.Error;
        Assert.Contains("node2", text, StringComparison.Ordinal);
        Assert.Contains(theirs, text, StringComparison.Ordinal);
        Assert.Contains("speaks protocol 2 and 1", text, StringComparison.Ordinal);
        Assert.Contains("upgrade the older one", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task OperatorsRoutes_FromAPeer_AreNotThere()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        using HttpClient http = Connect(fleet);
        http.DefaultRequestHeaders.Add(ProtocolVersions.Header, "1");
        Assert.Equal(HttpStatusCode.NotFound, (await http.GetAsync(Evacuator.Api.ApiRoutes.Status)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await http.PostAsync(Evacuator.Api.ApiRoutes.Reopen, null)).StatusCode);
    }

    [Fact]
    public async Task Reservation_OfAnotherNode_CannotBeSeenOrForgotten()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 3);
        Guid move = Guid.NewGuid();
        using PeerClient owner = Client(fleet, "node1");
        using PeerClient stranger = Client(fleet, "node3");
        ReservationReply reply = await owner.ReserveAsync(new ReservationRequest(move, Guid.NewGuid(), FakeRack.Container("c1")), default);
        Assert.True(reply.Accepted);
        Assert.True(reply.Token!.Length >= 64);

        Assert.Null(await stranger.GetReservationAsync(move, default));
        await stranger.ForgetReservationAsync(move, default);
        Assert.Equal(1, fleet["node2"].Agent.OpenReservations);
        Assert.NotNull(await owner.GetReservationAsync(move, default));
        await owner.ForgetReservationAsync(move, default);
        Assert.Equal(0, fleet["node2"].Agent.OpenReservations);
    }

    [Fact]
    public async Task Reservation_AskedTwice_GivesTheSameToken()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        ReservationRequest request = new(Guid.NewGuid(), Guid.NewGuid(), FakeRack.Container("c1"));
        using PeerClient client = Client(fleet, "node1");
        Assert.Equal((await client.ReserveAsync(request, default)).Token, (await client.ReserveAsync(request, default)).Token);
        Assert.Equal(1, fleet["node2"].Agent.OpenReservations);
    }

    [Fact]
    public async Task Reservation_GroupHasAMemberHere_IsRefused()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        fleet["node2"].Agent.Containers["db1"] = FakeRack.Container("db1", annotations: ("evacuator.spread", "db"));
        using PeerClient client = Client(fleet, "node1");
        ReservationReply reply = await client.ReserveAsync(new ReservationRequest(Guid.NewGuid(), Guid.NewGuid(), FakeRack.Container("db2", annotations: ("evacuator.spread", "db"))), default);
        Assert.Equal((false, BlockerCode.SpreadRule), (reply.Accepted, reply.Blockers[0].Code));
    }

    [Fact]
    public async Task Request_LargerThanTheLimit_IsRefusedUnread()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        using HttpClient http = Connect(fleet);
        http.DefaultRequestHeaders.Add(ProtocolVersions.Header, "1");
        http.DefaultRequestHeaders.ExpectContinue = true;
        using ByteArrayContent body = new(new byte[5 << 20]);
        body.Headers.ContentType = new("application/json");
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, (await http.PostAsync(PeerRoutes.Reservations, body)).StatusCode);
    }

    [Fact]
    public async Task Request_BrokenJson_SaysWhatIsWrong()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        using HttpClient http = Connect(fleet);
        http.DefaultRequestHeaders.Add(ProtocolVersions.Header, "1");
        using StringContent body = new("""{"moveId":"x"}""", System.Text.Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await http.PostAsync(PeerRoutes.Reservations, body);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.NotEqual("", (await response.Content.ReadFromJsonAsync<ErrorReply>(ApiJson.Options))!.Error);
    }

    [Fact]
    public async Task Connection_OfAnotherFleet_GetsNothing()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        await using TestFleet others = await TestFleet.StartAsync(nodes: 1);
        using PeerClient client = new(new Peer("node2", "127.0.0.2"), fleet["node2"].Options.Fleet.BrainPort, others["node1"].Tls.HttpHandlerFor("node2"));
        PeerException refused = await Assert.ThrowsAsync<PeerException>(() => client.GetCapacityAsync(default));
        Assert.Null(refused.Status);
    }

    private static PeerClient Client(TestFleet fleet, string from) =>
        new(new Peer("node2", "127.0.0.2"), fleet["node2"].Options.Fleet.BrainPort, fleet[from].Tls.HttpHandlerFor("node2"));

    private static HttpClient Connect(TestFleet fleet) => new(fleet["node1"].Tls.HttpHandlerFor("node2"))
    {
        BaseAddress = new Uri($"https://127.0.0.2:{fleet["node2"].Options.Fleet.BrainPort}"),
    };
}
