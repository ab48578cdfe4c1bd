using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Tests;

public sealed class SessionTests
{
    [Theory]
    [InlineData("/redfish", 200)]
    [InlineData("/redfish/v1", 200)]
    [InlineData("/redfish/v1/", 200)]
    [InlineData("/redfish/v1/Systems", 401)]
    [InlineData("/redfish/v1/SessionService", 401)]
    [InlineData("/redfish/v1/no-such-thing", 401)]
    public async Task Get_WithoutCredentials_OnlyRootIsOpen(string uri, int status)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using var client = new BmcClient(bmc);
        Answer answer = await client.GetAsync(uri);
        Assert.Equal(status, answer.Status);
        Assert.Equal(status == 401 ? "NoValidSession" : null, answer.MessageId);
    }

    [Fact]
    public async Task LogIn_UseLogOut_TokenLivesAndDies()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        Assert.Equal(200, (await client.GetAsync(BmcClient.System)).Status);
        Assert.Equal([client.Session!], bmc.Sessions);
        Assert.Equal([client.Session!], (await client.GetAsync(BmcClient.Sessions)).Body.Get("Members").Links());
        Assert.Equal("evacuator", (await client.GetAsync(client.Session!)).Body.Get("UserName").Text());

        Assert.Equal(204, (await client.DeleteAsync(client.Session!)).Status);
        Assert.Equal(401, (await client.GetAsync(BmcClient.System)).Status);
        Assert.Empty(bmc.Sessions);
    }

    [Theory]
    [InlineData("""{"UserName":"evacuator","Password":"wrong"}""", 401, "NoValidSession")]
    [InlineData("""{"UserName":"nobody","Password":"evacuator"}""", 401, "NoValidSession")]
    [InlineData("""{"UserName":"evacuator"}""", 400, "PropertyMissing")]
    [InlineData("""[1]""", 400, "MalformedJSON")]
    [InlineData("""{"UserName":""", 400, "MalformedJSON")]
    public async Task LogIn_WrongBody_RefusedWithoutSession(string body, int status, string messageId)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using var client = new BmcClient(bmc);
        Answer answer = await client.PostAsync(BmcClient.Sessions, body);
        Assert.Equal((status, messageId), (answer.Status, answer.MessageId));
        Assert.Empty(bmc.Sessions);
    }

    [Theory]
    [InlineData("evacuator:evacuator", 200)]
    [InlineData("evacuator:wrong", 401)]
    public async Task Basic_IsAcceptedWithTheRightPasswordAndOpensNoSession(string user, int status)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using var client = new BmcClient(bmc, user);
        Assert.Equal(status, (await client.GetAsync(BmcClient.System)).Status);
        Assert.Empty(bmc.Sessions);
    }

    [Fact]
    public async Task LogIn_TableFull_RefusedUntilOneLeaves()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { SessionLimit = 2 });
        using BmcClient first = await BmcClient.LogInToAsync(bmc);
        using BmcClient second = await BmcClient.LogInToAsync(bmc);
        using var third = new BmcClient(bmc);
        Answer refused = await third.LogInAsync();
        Assert.Equal((503, "SessionLimitExceeded"), (refused.Status, refused.MessageId));

        await first.DeleteAsync(first.Session!);
        Assert.Equal(201, (await third.LogInAsync()).Status);
        Assert.Equal(2, bmc.SessionPeak);
    }

    [Fact]
    public async Task Session_UnusedForLongerThanTimeout_IsGone()
    {
        var time = new ManualTime();
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Time = time });
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        await client.PatchAsync("/redfish/v1/SessionService", """{"SessionTimeout":60}""");

        time.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal(200, (await client.GetAsync(BmcClient.System)).Status);
        time.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal(200, (await client.GetAsync(BmcClient.System)).Status);
        time.Advance(TimeSpan.FromSeconds(61));
        Assert.Equal(401, (await client.GetAsync(BmcClient.System)).Status);
        Assert.Empty(bmc.Sessions);
    }

    [Fact]
    public async Task LogOut_EndsTheEventStreamOfTheSession()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        using StreamReader stream = await client.OpenStreamAsync();
        await client.DeleteAsync(client.Session!);
        Assert.Null(await BmcClient.NextEventAsync(stream));
    }
}
