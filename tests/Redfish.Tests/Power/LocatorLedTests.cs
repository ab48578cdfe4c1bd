using System.Text.Json.Nodes;
using Evacuator.Redfish.Power;
using Evacuator.Redfish.Session;
using Evacuator.Redfish.Tests.Fake;
using Evacuator.Testing;

namespace Evacuator.Redfish.Tests.Power;

public sealed class LocatorLedTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task Set_NewPropertyPresent_IsPreferredAndRestored()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.Tree[FakeBmc.SystemUri]["LocationIndicatorActive"] = false;
        await using BmcClient client = bmc.Client();
        LocatorLed led = new(client, FakeBmc.SystemUri, TimeProvider.System);
        LedResult result = await led.SetAsync(true, None);
        Assert.True(result.Confirmed, result.Message);
        Assert.Equal(("LocationIndicatorActive", "false", "true"), (result.Now!.Property, result.Previous!.Value, result.Now.Value));
        Assert.True((await led.ReadAsync(None)).State!.IsLit);
        Assert.True((await led.RestoreAsync(result.Previous, None)).Confirmed);
        Assert.False(bmc.Tree[FakeBmc.SystemUri]["LocationIndicatorActive"]!.GetValue<bool>());
    }

    [Fact]
    public async Task Set_NewPropertyNull_UsesIndicatorLed()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.Tree[FakeBmc.SystemUri]["LocationIndicatorActive"] = null;
        await using BmcClient client = bmc.Client();
        LedResult result = await new LocatorLed(client, FakeBmc.SystemUri, TimeProvider.System).SetAsync(true, None);
        Assert.True(result.Confirmed, result.Message);
        Assert.Equal("Blinking", bmc.Tree[FakeBmc.SystemUri]["IndicatorLED"]!.ToString());
    }

    [Fact]
    public async Task Set_BlinkingRefused_UsesLit()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.OnChange = async (context, body) =>
        {
            if (body!["IndicatorLED"]!.ToString() != "Blinking")
                return false;
            await FakeBmc.WriteAsync(context, 400, FakeBmc.Error("PropertyValueNotInList", "Blinking", "IndicatorLED"));
            return true;
        };
        await using BmcClient client = bmc.Client();
        LedResult result = await new LocatorLed(client, FakeBmc.SystemUri, TimeProvider.System).SetAsync(true, None);
        Assert.Equal("Lit", result.Now!.Value);
    }

    [Fact]
    public async Task Set_NothingOnTheSystem_UsesTheChassis()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.Tree[FakeBmc.SystemUri].Remove("IndicatorLED");
        bmc.Tree[FakeBmc.ChassisUri]["LocationIndicatorActive"] = false;
        await using BmcClient client = bmc.Client();
        LedResult result = await new LocatorLed(client, FakeBmc.SystemUri, TimeProvider.System).SetAsync(true, None);
        Assert.Equal((true, FakeBmc.ChassisUri), (result.Confirmed, result.Now?.Uri));
    }

    [Fact]
    public async Task Set_PropertyOfTheSystemIsRefused_UsesTheChassis()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.Tree[FakeBmc.ChassisUri]["IndicatorLED"] = "Off";
        bmc.AddFault("PATCH", FakeBmc.SystemUri, 400, times: 10, body: FakeBmc.Error("PropertyNotWritable", "IndicatorLED"));
        await using BmcClient client = bmc.Client();
        LedResult result = await new LocatorLed(client, FakeBmc.SystemUri, TimeProvider.System).SetAsync(true, None);
        Assert.Equal((true, FakeBmc.ChassisUri), (result.Confirmed, result.Now?.Uri));
    }

    [Fact]
    public async Task Set_NeverShown_IsNotConfirmed()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.OnChange = async (context, _) =>
        {
            await FakeBmc.WriteAsync(context, 200, "{}");
            return true;
        };
        ManualTime time = new();
        await using BmcClient client = bmc.Client(time);
        await using (time.PassWaits(TimeSpan.FromSeconds(9)))
        {
            LedResult result = await new LocatorLed(client, FakeBmc.SystemUri, time).SetAsync(true, None);
            Assert.Equal((BmcError.None, false), (result.Error, result.Confirmed));
            Assert.NotEmpty(result.Message);
        }
    }

    [Fact]
    public async Task Set_NoLedAnywhere_SaysSo()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.Tree[FakeBmc.SystemUri].Remove("IndicatorLED");
        await using BmcClient client = bmc.Client();
        LedResult result = await new LocatorLed(client, FakeBmc.SystemUri, TimeProvider.System).SetAsync(true, None);
        Assert.Equal(BmcError.NotSupported, result.Error);
        Assert.Contains("IndicatorLED", result.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Set_IdracKnowsOnlyLitAndBlinking_OffMeansLit()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        JsonObject system = bmc.Tree[FakeBmc.SystemUri];
        system["IndicatorLED"] = "Lit";
        system["IndicatorLED@Redfish.AllowableValues"] = new JsonArray("Lit", "Blinking");
        await using BmcClient client = bmc.Client();
        LocatorLed led = new(client, FakeBmc.SystemUri, TimeProvider.System);
        Assert.False((await led.ReadAsync(None)).State!.IsLit);
        Assert.True((await led.SetAsync(true, None)).Now!.IsLit);
        LedResult off = await led.SetAsync(false, None);
        Assert.Equal(("Lit", false), (off.Now!.Value, off.Now.IsLit));
    }
}
