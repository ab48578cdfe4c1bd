using System.Text.Json.Nodes;
using Evacuator.Redfish.Power;
using Evacuator.Redfish.Session;
using Evacuator.Redfish.Tests.Fake;
using Evacuator.Testing;
using Microsoft.AspNetCore.Http;

namespace Evacuator.Redfish.Tests.Power;

public sealed class PowerControlTests
{
    private const string ResetPath = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly TimeSpan Step = TimeSpan.FromSeconds(2);

    [Fact]
    public async Task Describe_InlineTypes_PicksOrders()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        await using BmcClient client = bmc.Client();
        (PowerCapabilities? can, _) = await Control(client).DescribeAsync(None);
        Assert.Equal(("GracefulShutdown", "ForceOff", "On", "inline"), (can!.Graceful, can.Force, can.On, can.Source));
    }

    [Fact]
    public async Task Describe_ActionInfo_IsRead()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        JsonObject action = Action(bmc);
        action.Remove("ResetType@Redfish.AllowableValues");
        action["@Redfish.ActionInfo"] = "/redfish/v1/Systems/1/ResetActionInfo";
        bmc.Tree["/redfish/v1/Systems/1/ResetActionInfo"] = JsonNode.Parse("""{"Parameters":[{"Name":"ResetType","AllowableValues":["On","ForceOff"]}]}""")!.AsObject();
        await using BmcClient client = bmc.Client();
        (PowerCapabilities? can, _) = await Control(client).DescribeAsync(None);
        Assert.Equal((null, "ForceOff", "ActionInfo"), (can!.Graceful, can.Force, can.Source));
    }

    [Fact]
    public async Task Order_AcceptedByTheBmc_SendsTheTypeOnceWithoutIfMatch()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.Tree[FakeBmc.SystemUri]["@odata.etag"] = "W/\"1\"";
        List<string> sent = Resets(bmc, 204);
        await using BmcClient client = bmc.Client();
        Assert.Equal(PowerActionOutcome.Accepted, (await Control(client).GracefulShutdownAsync(None)).Outcome);
        Assert.Equal(PowerActionOutcome.Accepted, (await Control(client).ForceOffAsync(None)).Outcome);
        Assert.Equal(PowerActionOutcome.Accepted, (await Control(client).OnAsync(None)).Outcome);
        Assert.Equal(["GracefulShutdown", "ForceOff", "On"], sent);
    }

    [Theory]
    [InlineData(400)]
    [InlineData(409)]
    public async Task On_RefusedBecauseItIsOn_IsSuccess(int status)
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        List<string> sent = Resets(bmc, status);
        await using BmcClient client = bmc.Client();
        Assert.Equal(PowerActionOutcome.AlreadyThere, (await Control(client).OnAsync(None)).Outcome);
        Assert.Single(sent);
    }

    [Fact]
    public async Task ForceOff_RefusedWhileOn_IsNotSuccess()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        List<string> sent = Resets(bmc, 400);
        await using BmcClient client = bmc.Client();
        Assert.Equal(PowerActionOutcome.Refused, (await Control(client).ForceOffAsync(None)).Outcome);
        Assert.Single(sent);
    }

    [Fact]
    public async Task On_ConflictRightAfterOff_IsTriedAgainAfterARead()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        SetPower(bmc, "Off", "Off");
        int calls = 0;
        bmc.OnChange = async (context, _) =>
        {
            await FakeBmc.WriteAsync(context, ++calls < 3 ? 409 : 204, calls < 3 ? FakeBmc.Error("ActionParameterValueConflict") : null);
            return true;
        };
        ManualTime time = new();
        await using BmcClient client = bmc.Client(time);
        await using (time.PassWaits(TimeSpan.FromSeconds(9)))
            Assert.Equal(PowerActionOutcome.Accepted, (await Control(client, time).OnAsync(None)).Outcome);
        Assert.Equal(3, calls);
        Assert.True(bmc.CountOf($"GET {FakeBmc.SystemUri}") >= 3);
    }

    [Fact]
    public async Task Order_AnswerLost_IsUncertainAndTheButtonNotPressedTwice()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        Action(bmc)["ResetType@Redfish.AllowableValues"] = new JsonArray("PushPowerButton");
        int pressed = 0;
        bmc.OnChange = (context, _) =>
        {
            pressed++;
            context.Abort();
            return Task.FromResult(true);
        };
        await using BmcClient client = bmc.Client();
        PowerActionResult result = await Control(client).GracefulShutdownAsync(None);
        Assert.Equal(PowerActionOutcome.Uncertain, result.Outcome);
        Assert.Equal(1, pressed);
    }

    [Fact]
    public async Task PowerButton_MachineOffAlready_IsNotPressed()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        Action(bmc)["ResetType@Redfish.AllowableValues"] = new JsonArray("PushPowerButton");
        SetPower(bmc, "Off", "Off");
        List<string> sent = Resets(bmc, 204);
        await using BmcClient client = bmc.Client();
        Assert.Equal(PowerActionOutcome.AlreadyThere, (await Control(client).GracefulShutdownAsync(None)).Outcome);
        Assert.Empty(sent);
    }

    [Fact]
    public async Task PowerButton_PowerUnknown_IsNotPressed()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        Action(bmc)["ResetType@Redfish.AllowableValues"] = new JsonArray("PushPowerButton");
        SetPower(bmc, null, "Off");
        List<string> sent = Resets(bmc, 204);
        await using BmcClient client = bmc.Client();
        Assert.Equal(PowerActionOutcome.NotSent, (await Control(client).GracefulShutdownAsync(None)).Outcome);
        Assert.Empty(sent);
    }

    [Fact]
    public async Task Order_AnotherMachineByUuid_IsNotSent()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        List<string> sent = Resets(bmc, 204);
        await using BmcClient client = bmc.Client();
        PowerControl control = new(client, FakeBmc.SystemUri, Guid.NewGuid().ToString(), TimeProvider.System);
        Assert.Equal(PowerActionOutcome.NotSent, (await control.ForceOffAsync(None)).Outcome);
        Assert.Empty(sent);
        SetPower(bmc, "Off", "Off");
        Assert.Equal(PowerState.Unknown, (await control.ReadPowerAsync(None)).State);
    }

    [Theory]
    [InlineData("4C4C4544-0051-3010-8042-B5C04F4D3233")]
    [InlineData("44454c4c-5100-1030-8042-b5c04f4d3233")]
    public async Task Read_SameMachineInOtherSpelling_IsTheMachine(string uuid)
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        await using BmcClient client = bmc.Client();
        Assert.Equal(PowerState.On, (await new PowerControl(client, FakeBmc.SystemUri, uuid, TimeProvider.System).ReadPowerAsync(None)).State);
    }

    [Theory]
    [InlineData("On", "On", PowerState.On)]
    [InlineData("Off", "Off", PowerState.Off)]
    [InlineData("off", null, PowerState.Off)]
    [InlineData("PoweringOff", "PoweringOff", PowerState.PoweringOff)]
    [InlineData("Off", "On", PowerState.Unknown)]
    [InlineData("On", "Off", PowerState.Unknown)]
    [InlineData(null, "Off", PowerState.Unknown)]
    [InlineData("Reset", "Off", PowerState.Unknown)]
    [InlineData("", "Off", PowerState.Unknown)]
    public async Task Read_SystemAndChassis_MustAgree(string? system, string? chassis, PowerState expected)
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        SetPower(bmc, system, chassis);
        await using BmcClient client = bmc.Client();
        PowerReading reading = await Control(client).ReadPowerAsync(None);
        Assert.Equal(expected, reading.State);
        Assert.NotEmpty(reading.Evidence);
        Assert.Equal(expected == PowerState.Unknown, reading.Message.Length > 0);
    }

    [Fact]
    public async Task Read_SharedEnclosureIsOn_DoesNotSpeakForOneNode()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        SetPower(bmc, "Off", "On");
        bmc.Tree[FakeBmc.ChassisUri]["Links"] = JsonNode.Parse("""{"ComputerSystems":[{"@odata.id":"/redfish/v1/Systems/1"},{"@odata.id":"/redfish/v1/Systems/2"}]}""");
        await using BmcClient client = bmc.Client();
        Assert.Equal(PowerState.Off, (await Control(client).ReadPowerAsync(None)).State);
    }

    [Theory]
    [InlineData(FakeBmc.SystemUri)]
    [InlineData(FakeBmc.ChassisUri)]
    public async Task VerifyOff_OneSideUnreadable_IsNeverOff(string uri)
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        SetPower(bmc, "Off", "Off");
        bmc.AddFault("GET", uri, 500, times: 100_000);
        ManualTime time = new();
        await using BmcClient client = bmc.Client(time);
        await using (time.PassWaits(TimeSpan.FromSeconds(9)))
        {
            OffVerdict verdict = await Control(client, time).VerifyOffAsync(2, Step, TimeSpan.FromSeconds(20), None);
            Assert.False(verdict.IsOff);
            Assert.Equal(PowerState.Unknown, verdict.Last);
        }
    }

    [Fact]
    public async Task VerifyOff_TwoReadsAgree_IsProvenWithEvidence()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        SetPower(bmc, "Off", "Off");
        ManualTime time = new();
        await using BmcClient client = bmc.Client(time);
        await using (time.PassWaits(TimeSpan.FromSeconds(9)))
        {
            OffVerdict verdict = await Control(client, time).VerifyOffAsync(2, Step, TimeSpan.FromMinutes(1), None);
            Assert.True(verdict.IsOff, verdict.Message);
            Assert.Equal([FakeBmc.SystemUri, FakeBmc.ChassisUri, FakeBmc.SystemUri, FakeBmc.ChassisUri], verdict.Evidence.Select(e => e.Uri));
            Assert.All(verdict.Evidence, e => Assert.Equal("Off", e.Value));
            Assert.Equal(Step, verdict.Evidence[^1].Time - verdict.Evidence[0].Time);
        }
    }

    [Fact]
    public async Task VerifyOff_StaleForAMinuteThenOff_IsProvenOnlyAfterwards()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        ManualTime time = new();
        DateTimeOffset start = time.GetUtcNow();
        bmc.AddFault("GET", FakeBmc.SystemUri, context =>
        {
            bool stale = time.GetUtcNow() - start < TimeSpan.FromSeconds(60);
            SetPower(bmc, stale ? "On" : "Off", stale ? "On" : "Off");
            return FakeBmc.WriteAsync(context, 200, bmc.Tree[FakeBmc.SystemUri].ToJsonString());
        }, times: 100_000);
        await using BmcClient client = bmc.Client(time);
        await using (time.PassWaits(TimeSpan.FromSeconds(9)))
        {
            OffVerdict verdict = await Control(client, time).VerifyOffAsync(2, Step, TimeSpan.FromMinutes(5), None);
            Assert.True(verdict.IsOff, verdict.Message);
            Assert.All(verdict.Evidence, e => Assert.True(e.Time - start >= TimeSpan.FromSeconds(60)));
        }
    }

    [Fact]
    public async Task VerifyOff_OffOnOff_CountsAnew()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        Queue<string> states = new(["Off", "On", "Off", "Off"]);
        bmc.AddFault("GET", FakeBmc.SystemUri, context =>
        {
            string state = states.Dequeue();
            SetPower(bmc, state, state);
            return FakeBmc.WriteAsync(context, 200, bmc.Tree[FakeBmc.SystemUri].ToJsonString());
        }, times: 4);
        ManualTime time = new();
        await using BmcClient client = bmc.Client(time);
        await using (time.PassWaits(TimeSpan.FromSeconds(9)))
            Assert.True((await Control(client, time).VerifyOffAsync(2, Step, TimeSpan.FromMinutes(5), None)).IsOff);
        Assert.Empty(states);
    }

    [Fact]
    public async Task VerifyOff_RightAfterWeSwitchedOn_IsNotBelieved()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        SetPower(bmc, "Off", "Off");
        Resets(bmc, 204);
        ManualTime time = new();
        await using BmcClient client = bmc.Client(time);
        PowerControl control = Control(client, time);
        await control.OnAsync(None);
        await using (time.PassWaits(TimeSpan.FromSeconds(9)))
            Assert.False((await control.VerifyOffAsync(2, Step, TimeSpan.FromSeconds(60), None)).IsOff);
    }

    private static PowerControl Control(BmcClient client, TimeProvider? time = null) => new(client, FakeBmc.SystemUri, null, time ?? TimeProvider.System);

    private static JsonObject Action(FakeBmc bmc) => bmc.Tree[FakeBmc.SystemUri]["Actions"]!["#ComputerSystem.Reset"]!.AsObject();

    private static void SetPower(FakeBmc bmc, string? system, string? chassis)
    {
        lock (bmc.Tree[FakeBmc.SystemUri])
            bmc.Tree[FakeBmc.SystemUri]["PowerState"] = system;
        lock (bmc.Tree[FakeBmc.ChassisUri])
            bmc.Tree[FakeBmc.ChassisUri]["PowerState"] = chassis;
    }

    private static List<string> Resets(FakeBmc bmc, int status)
    {
        List<string> sent = [];
        bmc.OnChange = async (context, body) =>
        {
            Assert.Equal(ResetPath, context.Request.Path.Value);
            Assert.Equal("", context.Request.Headers.IfMatch.ToString());
            sent.Add(body!["ResetType"]!.ToString());
            await FakeBmc.WriteAsync(context, status, status >= 400 ? FakeBmc.Error("GeneralError") : null);
            return true;
        };
        return sent;
    }
}
