using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Redfish.Power;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Session;

namespace Evacuator.Redfish.Tests.Session;

/// <summary>Each fault of the lab's BMC, met by everything a client does. What must never come out: an exception, Off, a second request at a time, a session left behind.</summary>
public sealed class FaultMenuTests
{
    private const string SystemUri = "/redfish/v1/Systems/1";
    private static readonly CancellationToken None = CancellationToken.None;

    public static TheoryData<FaultKind, int?> Menu()
    {
        TheoryData<FaultKind, int?> menu = [];
        foreach (FaultKind kind in Enum.GetValues<FaultKind>().Where(k => k != FaultKind.None))
        {
            menu.Add(kind, 1);
            menu.Add(kind, null);
        }
        return menu;
    }

    [Theory]
    [MemberData(nameof(Menu))]
    public async Task Client_AnyFaultOnceOrAlways_IsHonestAndLeavesNothing(FaultKind kind, int? count)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        bmc.AddFault(new Fault { Kind = kind, Count = count, Stall = 0.2, Size = 20 << 20, RetryAfter = 0 });
        await using (BmcClient client = Client(bmc))
        {
            await client.ConnectAsync(None);
            PowerControl power = new(client, SystemUri, null, TimeProvider.System);
            PowerReading reading = await power.ReadPowerAsync(None);
            Assert.NotEqual(PowerState.Off, reading.State);
            OffVerdict verdict = await power.VerifyOffAsync(2, TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(3), None);
            Assert.False(verdict.IsOff, verdict.Message);
            await power.DescribeAsync(None);
            (LedState? led, _) = await new LocatorLed(client, SystemUri, TimeProvider.System).ReadAsync(None);
            await CollectionReader.ReadAsync(client, "/redfish/v1/Systems/1/Memory", null, None);
            BmcReply patched = await client.PatchAsync(SystemUri, new JsonObject { ["AssetTag"] = "x" }, None);
            Assert.Equal(patched.Succeeded, patched.Message.Length == 0);
        }
        bmc.ClearFaults();
        // Of a body beyond the limit, or cut off in the middle, the connection is closed; the BMC may still be about it when the next request comes.
        if (kind is not (FaultKind.HugeBody or FaultKind.HalfBody))
            Assert.Equal(1, bmc.Requests.HighestConcurrency);
        // The certificate is another one: there was no way to log out. Everything else leaves the table empty.
        if (kind is FaultKind.CertificateChanged)
            Assert.InRange(bmc.Sessions.Count, 0, 1);
        else if (count is not null || kind is not (FaultKind.Unavailable or FaultKind.Disconnect or FaultKind.Redirect))
            Assert.Empty(bmc.Sessions);
    }

    [Fact]
    public async Task Patch_PreconditionFailsTwice_ThirdFormSucceeds()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        await using BmcClient client = Client(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.ETagMismatch, Count = 2 });
        BmcReply reply = await client.PatchAsync(SystemUri, new JsonObject { ["AssetTag"] = "seen" }, None);
        Assert.True(reply.Succeeded, reply.Message);
        Assert.Equal("seen", bmc.Read(SystemUri)!["AssetTag"]!.ToString());
    }

    [Fact]
    public async Task Patch_PreconditionFailsAlways_EndsWithTheCause()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        await using BmcClient client = Client(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.ETagMismatch });
        Assert.Equal(BmcError.PreconditionFailed, (await client.PatchAsync(SystemUri, new JsonObject { ["AssetTag"] = "x" }, None)).Error);
        Assert.InRange(bmc.Requests.CountOf("PATCH", SystemUri), 2, 3);
    }

    [Fact]
    public async Task Certificate_Changed_IsNamedWithBothFingerprints()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        string pinned = Fingerprint.Normalise(bmc.Fingerprint)!;
        await using BmcClient client = Client(bmc);
        Assert.True((await client.ConnectAsync(None)).Succeeded);
        bmc.AddFault(new Fault { Kind = FaultKind.CertificateChanged });
        BmcReply reply = await client.GetAsync(SystemUri, None);
        Assert.Equal(BmcError.CertificateChanged, reply.Error);
        Assert.Equal((pinned, Fingerprint.Normalise(bmc.Fingerprint)!), reply.Certificates);
    }

    [Fact]
    public async Task Collection_NextLinkLoop_EndsIncomplete()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        await using BmcClient client = Client(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.NextLinkLoop });
        CollectionResult memory = await CollectionReader.ReadAsync(client, "/redfish/v1/Systems/1/Memory", null, None);
        Assert.False(memory.Complete);
        Assert.NotEmpty(memory.Members);
    }

    [Fact]
    public async Task ForceOff_TheBmc_TurnsTheMachineOffAndProvesIt()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        await using BmcClient client = Client(bmc);
        PowerControl power = new(client, SystemUri, bmc.Identity.Uuid.ToString(), TimeProvider.System);
        Assert.Equal(PowerState.On, (await power.ReadPowerAsync(None)).State);
        Assert.Equal(PowerActionOutcome.Accepted, (await power.ForceOffAsync(None)).Outcome);
        await bmc.WhenPowerSettledAsync();
        OffVerdict verdict = await power.VerifyOffAsync(2, TimeSpan.FromMilliseconds(1), TimeSpan.FromSeconds(60), None);
        Assert.True(verdict.IsOff, verdict.Message);
        Assert.True((await power.ForceOffAsync(None)).Succeeded);
        Assert.True((await power.OnAsync(None)).Succeeded);
        await bmc.WhenPowerSettledAsync();
        Assert.Equal(PowerState.On, (await power.ReadPowerAsync(None)).State);
    }

    [Fact]
    public async Task ForceOff_AcceptedButNothingHappens_IsNeverProven()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        await using BmcClient client = Client(bmc);
        bmc.AddFault(new Fault { Kind = FaultKind.ResetIgnored });
        PowerControl power = new(client, SystemUri, null, TimeProvider.System);
        Assert.Equal(PowerActionOutcome.Accepted, (await power.ForceOffAsync(None)).Outcome);
        Assert.False((await power.VerifyOffAsync(2, TimeSpan.FromMilliseconds(5), TimeSpan.FromMilliseconds(100), None)).IsOff);
    }

    [Fact]
    public async Task Led_OnTheBmc_IsLitConfirmedAndRestored()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        await using BmcClient client = Client(bmc);
        LocatorLed led = new(client, SystemUri, TimeProvider.System);
        LedResult lit = await led.SetAsync(true, None);
        Assert.True(lit.Confirmed, lit.Message);
        Assert.True((await led.ReadAsync(None)).State!.IsLit);
        Assert.True((await led.RestoreAsync(lit.Previous!, None)).Confirmed);
        Assert.False((await led.ReadAsync(None)).State!.IsLit);
    }

    private static BmcClient Client(BmcSimulatorHost bmc) => new(new BmcOptions
    {
        Url = bmc.BaseAddress,
        User = "evacuator",
        Password = _ => ValueTask.FromResult("evacuator"),
        Fingerprint = bmc.Fingerprint,
        Timeouts = new BmcTimeouts { RetryBase = TimeSpan.FromMilliseconds(1), Request = TimeSpan.FromSeconds(20) },
    }, TimeProvider.System, new Random(3));
}
