using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Tests;

public sealed class PushTests
{
    private const string Short = """{"MessageId":"IDRAC.2.8.MEM0005","OriginOfCondition":"/redfish/v1/Systems/1/Memory/DIMM_A1","Severity":"Critical"}""";
    private const string Fan = """{"MessageId":"Environmental.1.4.FanFailed","OriginOfCondition":"/redfish/v1/Chassis/1/ThermalSubsystem/Fans/Fan_1","Severity":"Critical"}""";

    [Fact]
    public async Task Subscribe_EventIsPosted_WithContextAndHeaders()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        await using PushListener listener = await PushListener.StartAsync();
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        Answer made = await client.PostAsync(BmcClient.Subscriptions,
            $$"""{"Destination":"{{listener.Address}}secret","Protocol":"Redfish","Context":"mine","HttpHeaders":[{"X-Key":"k1"}]}""");
        Assert.Equal(201, made.Status);
        string uri = made.Headers.Location!.ToString();
        Assert.Equal([uri], (await client.GetAsync(BmcClient.Subscriptions)).Body.Get("Members").Links());
        Assert.Empty((JsonArray)(await client.GetAsync(uri)).Body["HttpHeaders"]!);

        bmc.PostEvent(Short);
        Received received = await listener.NextAsync();
        Assert.Equal(("/secret", "k1", "mine"), (received.Path, received.Key, received.Body.Get("Context").Text()));
        Assert.Equal("IDRAC.2.8.MEM0005", ((JsonArray)received.Body["Events"]!)[0].Get("MessageId").Text());

        Assert.Equal(204, (await client.DeleteAsync(uri)).Status);
        Assert.Empty(bmc.Subscriptions);
    }

    [Theory]
    [InlineData("\"RegistryPrefixes\":[\"Environmental\"]")]
    [InlineData("\"MessageIds\":[\"FanFailed\"]")]
    [InlineData("\"MessageIds\":[\"Environmental.1.4.FanFailed\"]")]
    [InlineData("\"OriginResources\":[{\"@odata.id\":\"/redfish/v1/Chassis/1/ThermalSubsystem/Fans/Fan_1\"}]")]
    public async Task Subscribe_WithSelector_OnlyChosenEventsArrive(string selector)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        await using PushListener listener = await PushListener.StartAsync();
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        Assert.Equal(201, (await client.PostAsync(BmcClient.Subscriptions, $$"""{"Destination":"{{listener.Address}}","Protocol":"Redfish",{{selector}}}""")).Status);
        bmc.PostEvent(Short);
        bmc.PostEvent(Fan);
        Assert.Equal("Environmental.1.4.FanFailed", ((JsonArray)(await listener.NextAsync()).Body["Events"]!)[0].Get("MessageId").Text());
    }

    [Theory]
    [InlineData("""{"Protocol":"Redfish"}""", "PropertyMissing")]
    [InlineData("""{"Destination":"https://10.0.0.1/x"}""", "PropertyMissing")]
    [InlineData("""{"Destination":"http://10.0.0.1/x","Protocol":"Redfish"}""", "PropertyValueFormatError")]
    [InlineData("""{"Destination":"https://10.0.0.1/x","Protocol":"SNMP"}""", "PropertyValueNotInList")]
    [InlineData("""{"Destination":"https://10.0.0.1/x","Protocol":"Redfish","RegistryPrefixes":["Nope"]}""", "PropertyValueNotInList")]
    [InlineData("""{"Destination":"https://10.0.0.1/x","Protocol":"Redfish","SendHeartbeat":true}""", "PropertyUnknown")]
    public async Task Subscribe_Wrong_Refused(string body, string messageId)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        Answer answer = await client.PostAsync(BmcClient.Subscriptions, body);
        Assert.Equal((400, messageId), (answer.Status, answer.MessageId));
        Assert.Empty(bmc.Subscriptions);
    }

    [Fact]
    public async Task Subscribe_TableFull_Refused()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { SubscriptionLimit = 1 });
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        const string body = """{"Destination":"https://10.0.0.1/x","Protocol":"Redfish"}""";
        Assert.Equal(201, (await client.PostAsync(BmcClient.Subscriptions, body)).Status);
        Answer refused = await client.PostAsync(BmcClient.Subscriptions, body);
        Assert.Equal((503, "EventSubscriptionLimitExceeded"), (refused.Status, refused.MessageId));
    }

    [Theory]
    [InlineData("RetryForever", 1, "Enabled")]
    [InlineData("SuspendRetries", 1, "Disabled")]
    [InlineData("TerminateAfterRetries", 0, null)]
    public async Task Delivery_KeepsFailing_PolicyDecides(string policy, int left, string? state)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { RetryInterval = TimeSpan.Zero });
        await using PushListener listener = await PushListener.StartAsync();
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        await client.PatchAsync("/redfish/v1/EventService", """{"DeliveryRetryAttempts":2}""");
        await client.PostAsync(BmcClient.Subscriptions, $$"""{"Destination":"{{listener.Address}}","Protocol":"Redfish","DeliveryRetryPolicy":"{{policy}}"}""");
        listener.Status = 500;
        bmc.PostEvent(Short);
        for (int i = 0; i < 3; i++)
        {
            await listener.NextAsync();
        }

        // The verdict falls after the last answer has arrived at the BMC.
        bool decided = SpinWait.SpinUntil(() => bmc.Subscriptions.Count == left && (left == 0 || bmc.Subscriptions[0].Get("Status").Get("State").Text() == state), TimeSpan.FromSeconds(20));
        Assert.True(decided, $"{bmc.Subscriptions.Count} subscriptions left");
        listener.Status = 200;
        bmc.PostEvent(Fan);
        if (policy == "RetryForever")
        {
            Assert.Equal("Environmental.1.4.FanFailed", ((JsonArray)(await listener.NextAsync()).Body["Events"]!)[0].Get("MessageId").Text());
        }
    }

    [Fact]
    public async Task Faults_PushSilentAndVanish_NothingArrivesAndThenNothingIsSubscribed()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        await using PushListener listener = await PushListener.StartAsync();
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        await client.PostAsync(BmcClient.Subscriptions, $$"""{"Destination":"{{listener.Address}}","Protocol":"Redfish"}""");
        bmc.AddFault(new Fault { Kind = FaultKind.PushSilent });
        bmc.PostEvent(Short);
        Assert.Single(bmc.Subscriptions);
        bmc.ClearFaults();
        bmc.PostEvent(Fan); // Events of one subscriber come in order, so the first was never sent.
        Assert.Equal("Environmental.1.4.FanFailed", ((JsonArray)(await listener.NextAsync()).Body["Events"]!)[0].Get("MessageId").Text());

        bmc.AddFault(new Fault { Kind = FaultKind.SubscriptionsVanish });
        Assert.Empty((await client.GetAsync(BmcClient.Subscriptions)).Body.Get("Members").Links());
    }
}
