using Evacuator.Lab.BmcSimulator;
using Evacuator.Redfish.Events;
using Evacuator.Redfish.Power;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Session;
using Evacuator.Testing;

namespace Evacuator.Redfish.Tests.Events;

/// <summary>What captured trees offer for listening and control; each expectation is read from the tree by hand.</summary>
public sealed class RealTreeTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [SharedDataTheory]
    [InlineData("csm-gigabyte", ListenMode.Push)]
    [InlineData("csm-openbmc-stock", ListenMode.Sse)]
    [InlineData("dell-idrac9-xr8620t", ListenMode.Sse)]
    [InlineData("dmtf-public-localstorage", ListenMode.Push)]
    [InlineData("dmtf-public-rackmount1", ListenMode.Push)]
    [InlineData("dmtf-public-tower", ListenMode.Push)]
    [InlineData("hpe-ilo-dl325_gen10plus_fc", ListenMode.Push)]
    [InlineData("hpe-ilo-dl360_gen12", ListenMode.Push)]
    [InlineData("lenovo-xcc-bmclib", ListenMode.Sse)]
    [InlineData("supermicro-x10sdv", ListenMode.Push)]
    [InlineData("sushy-tools-fake", ListenMode.Poll)]
    public async Task Offer_OfATree_IsWhatItSays(string tree, ListenMode expected)
    {
        await using Opened opened = await Opened.StartAsync(tree);
        (EventOffer? offer, string message) = await EventOffer.ReadAsync(opened.Client, canBePushedTo: true, None);
        Assert.True(offer is not null, message);
        Assert.Equal(expected, offer.Mode);
        Assert.NotEmpty(offer.Reason);
        (offer, _) = await EventOffer.ReadAsync(opened.Client, canBePushedTo: false, None);
        Assert.Equal(expected == ListenMode.Push ? ListenMode.Poll : expected, offer!.Mode);
    }

    [SharedDataTheory]
    [InlineData("csm-gigabyte", "ActionInfo", "IndicatorLED", "SEL,EventLog")]
    [InlineData("csm-openbmc-stock", "ActionInfo", "LocationIndicatorActive", "EventLog")]
    [InlineData("dell-idrac9-xr8620t", "inline", "LocationIndicatorActive", "Sel,FaultList")]
    [InlineData("dmtf-public-localstorage", "inline", "IndicatorLED", "Log1,Log")]
    [InlineData("dmtf-public-rackmount1", "inline", "IndicatorLED", "Log1,Log")]
    [InlineData("dmtf-public-tower", "inline", "IndicatorLED", "Log1,Log")]
    [InlineData("hpe-ilo-dl325_gen10plus_fc", "inline", "IndicatorLED", "IML")]
    [InlineData("hpe-ilo-dl360_gen12", "inline", "LocationIndicatorActive", "IML,Event")]
    [InlineData("lenovo-xcc-bmclib", "inline", null, "Sel")]
    [InlineData("supermicro-x10sdv", "inline", "IndicatorLED", "Log1")]
    [InlineData("sushy-tools-fake", "inline", "IndicatorLED", "")]
    public async Task Control_OfATree_IsFound(string tree, string resetSource, string? led, string logs)
    {
        await using Opened opened = await Opened.StartAsync(tree);
        CollectionResult systems = await CollectionReader.ReadAsync(opened.Client, "/redfish/v1/Systems", null, None);
        RedfishResource system = Assert.Single(systems.Members);
        PowerControl power = new(opened.Client, system.Uri, system.Text("UUID"), TimeProvider.System);
        (PowerCapabilities? can, string message) = await power.DescribeAsync(None);
        Assert.True(can is not null, message);
        Assert.Equal(("GracefulShutdown", "ForceOff", "On", resetSource), (can.Graceful, can.Force, can.On, can.Source));
        Assert.Equal(PowerState.On, (await power.ReadPowerAsync(None)).State);
        (LedState? state, string ledMessage) = await new LocatorLed(opened.Client, system.Uri, TimeProvider.System).ReadAsync(None);
        Assert.Equal(led, state?.Property);
        Assert.Equal(state is null, ledMessage.Length > 0);
        (IReadOnlyList<BmcLog> found, _) = await LogFinder.FindAsync(opened.Client, system.Uri, None);
        Assert.Equal(logs, string.Join(',', found.Where(l => l.Polled).Select(l => l.Id)));
    }

    private sealed class Opened(BmcSimulatorHost bmc, BmcClient client) : IAsyncDisposable
    {
        public BmcClient Client => client;

        public static async Task<Opened> StartAsync(string tree)
        {
            BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Tree = Path.Combine(Prerequisites.SharedRedfish!, "mockups", tree, "tree") });
            return new Opened(bmc, new BmcClient(new BmcOptions
            {
                Url = bmc.BaseAddress,
                User = "evacuator",
                Password = _ => ValueTask.FromResult("evacuator"),
                Fingerprint = bmc.Fingerprint,
                Timeouts = new BmcTimeouts { RetryBase = TimeSpan.FromMilliseconds(1) },
            }, TimeProvider.System, new Random(1)));
        }

        public async ValueTask DisposeAsync()
        {
            await client.DisposeAsync();
            await bmc.DisposeAsync();
        }
    }
}
