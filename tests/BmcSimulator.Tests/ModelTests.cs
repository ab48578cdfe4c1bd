using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Tests;

public sealed class ModelTests
{
    [Fact]
    public async Task Tree_EveryLinkFromTheRoot_LeadsToAResource()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        IReadOnlyDictionary<string, int> visited = await TreeWalk.VisitAsync(client);
        Assert.All(visited, visit => Assert.Equal((visit.Key, 200), (visit.Key, visit.Value)));
        Assert.Contains(BmcClient.Dimm + "/MemoryMetrics", visited.Keys);
        Assert.Contains(BmcClient.Chassis + "/PowerSubsystem/PowerSupplies/PSU_2", visited.Keys);
        Assert.True(visited.Count >= 70, $"{visited.Count} resources");
    }

    [Fact]
    public void Identity_IsTheSameForTheSameNameAndAnotherForAnother()
    {
        NodeIdentity node1 = NodeIdentity.FromName("node1");
        Assert.Equal(Guid.Parse("283be3f2-3676-5e84-9f4f-2448351295b3"), node1.Uuid); // The lab's nodes carry it: it must never change.
        Assert.Equal("LAB283BE3F2", node1.Serial);
        Assert.NotEqual(node1.Uuid, NodeIdentity.FromName("node2").Uuid);
        Assert.NotEqual(node1.Uuid, node1.BmcUuid);
    }

    [Fact]
    public async Task System_CarriesTheNodesIdentity()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Name = "node7" });
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        JsonObject system = (await client.GetAsync(BmcClient.System)).Body;
        Assert.Equal(NodeIdentity.FromName("node7").Uuid.ToString(), system.Get("UUID").Text());
        Assert.Equal(NodeIdentity.FromName("node7").Serial, system.Get("SerialNumber").Text());
        Assert.Equal("node7", system.Get("HostName").Text());
    }

    [Fact]
    public async Task Get_Unknown_404WithErrorObject()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        Answer answer = await client.GetAsync("/redfish/v1/Systems/2");
        Assert.Equal((404, "ResourceMissingAtURI"), (answer.Status, answer.MessageId));
    }

    [Theory]
    [InlineData("""{"NoSuchProperty":1}""", 400, "PropertyUnknown")]
    [InlineData("""{"SerialNumber":"X"}""", 400, "PropertyNotWritable")]
    [InlineData("""{"PowerState":"Off"}""", 400, "PropertyNotWritable")]
    [InlineData("""{"IndicatorLED":"Purple"}""", 400, "PropertyValueNotInList")]
    [InlineData("""{"LocationIndicatorActive":"yes"}""", 400, "PropertyValueTypeError")]
    [InlineData("""{"AssetTag":"A-1","SerialNumber":"X"}""", 400, "PropertyNotWritable")]
    [InlineData("""nonsense""", 400, "MalformedJSON")]
    public async Task Patch_Wrong_RefusedAndNothingChanged(string body, int status, string messageId)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        string before = (await client.GetAsync(BmcClient.System)).Text;
        Answer answer = await client.PatchAsync(BmcClient.System, body);
        Assert.Equal((status, messageId), (answer.Status, answer.MessageId));
        Assert.Equal(before, (await client.GetAsync(BmcClient.System)).Text);
    }

    [Fact]
    public async Task Patch_WithEntityTag_OnlyTheCurrentOneIsTaken()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        string tag = (await client.GetAsync(BmcClient.System)).Headers.ETag!.Tag;
        Answer changed = await client.PatchAsync(BmcClient.System, """{"AssetTag":"A-1"}""", tag);
        Assert.Equal(200, changed.Status);
        Assert.Equal("A-1", changed.Body.Get("AssetTag").Text());

        Answer stale = await client.PatchAsync(BmcClient.System, """{"AssetTag":"A-2"}""", tag);
        Assert.Equal((412, "PreconditionFailed"), (stale.Status, stale.MessageId));
        Assert.Equal(200, (await client.PatchAsync(BmcClient.System, """{"AssetTag":"A-3"}""", changed.Headers.ETag!.Tag)).Status);
        Assert.Equal(200, (await client.PatchAsync(BmcClient.System, """{"AssetTag":"A-4"}""")).Status);
    }

    [Fact]
    public async Task Control_PatchedHealth_ShowsInResourceAndRollups()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        bmc.Patch(BmcClient.Dimm, """{"Status":{"Health":"Warning"}}""");
        bmc.Patch(BmcClient.Chassis + "/ThermalSubsystem/Fans/Fan_1", """{"Status":{"Health":"Critical"}}""");
        Assert.Equal("Enabled", bmc.Read(BmcClient.Dimm).Get("Status").Get("State").Text());
        Assert.Equal("Warning", bmc.Read(BmcClient.Dimm).Get("Status").Get("Health").Text());
        Assert.Equal("Critical", bmc.Read(BmcClient.System).Get("Status").Get("HealthRollup").Text());
        Assert.Equal("OK", bmc.Read(BmcClient.System).Get("Status").Get("Health").Text());

        bmc.Patch(BmcClient.Chassis + "/ThermalSubsystem/Fans/Fan_1", """{"Status":{"Health":"OK"}}""");
        Assert.Equal("Warning", bmc.Read(BmcClient.System).Get("Status").Get("HealthRollup").Text());
        Assert.Equal("OK", bmc.Read(BmcClient.Chassis).Get("Status").Get("HealthRollup").Text());
        Assert.Throws<KeyNotFoundException>(() => bmc.Patch("/redfish/v1/Systems/2", "{}"));
    }

    [Theory]
    [InlineData("IndicatorLED", "\"Lit\"", "Lit", true)]
    [InlineData("LocationIndicatorActive", "true", "Blinking", true)]
    public async Task Led_EitherProperty_SetsBothOnSystemAndChassis(string property, string value, string legacy, bool active)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        Assert.Equal(200, (await client.PatchAsync(BmcClient.Chassis, $$"""{"{{property}}":{{value}}}""")).Status);
        foreach (string uri in new[] { BmcClient.System, BmcClient.Chassis })
        {
            Assert.Equal(legacy, bmc.Read(uri).Get("IndicatorLED").Text());
            Assert.Equal(active, bmc.Read(uri).Get("LocationIndicatorActive").Flag());
        }

        await client.PatchAsync(BmcClient.System, """{"LocationIndicatorActive":false}""");
        Assert.Equal("Off", bmc.Read(BmcClient.Chassis).Get("IndicatorLED").Text());
    }
}
