using Evacuator.Fleet;
using Evacuator.Lab.BmcSimulator;
using Evacuator.Power;
using Evacuator.Testing;

namespace Evacuator.Tests.Power;

/// <summary>The locator LED is put back to what it was before it was lit, over restarts of the program.</summary>
public sealed class LedMemoryTests : IAsyncLifetime
{
    private const string System = "/redfish/v1/Systems/1";

    private readonly TemporaryFolder _folder = new();
    private BmcSimulatorHost _bmc = null!;

    public async Task InitializeAsync() => _bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());

    public async Task DisposeAsync()
    {
        await _bmc.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task Off_LitHere_IsOffAgainAndForgotten()
    {
        Assert.Equal("on", await SetAsync(true));
        Assert.Equal("on", await SetAsync(true));
        Assert.Equal("off", await SetAsync(false));
        Assert.Empty(Directory.GetFiles(_folder.Path, "led-*"));
    }

    [Fact]
    public async Task Off_LitBySomebodyElseBefore_StaysLitUntilTheSecondTime()
    {
        await SetAsync(true);
        Directory.GetFiles(_folder.Path, "led-*").ToList().ForEach(File.Delete);
        Assert.Equal("on", await SetAsync(true));
        Assert.StartsWith("on, as it was before", await SetAsync(false), StringComparison.Ordinal);
        Assert.Equal("off", await SetAsync(false));
    }

    [Fact]
    public async Task Off_MemoryDamaged_IsOff()
    {
        await SetAsync(true);
        foreach (string file in Directory.GetFiles(_folder.Path, "led-*"))
            await File.WriteAllTextAsync(file, "{\"Uri\":");
        Assert.Equal("off", await SetAsync(false));
    }

    [Fact]
    public async Task Off_WhatWasSetIsGone_IsOffByWhatThereIs()
    {
        await SetAsync(true);
        foreach (string file in Directory.GetFiles(_folder.Path, "led-*"))
            await File.WriteAllTextAsync(file, """{"uri":"/redfish/v1/Systems/gone","property":"IndicatorLED","value":"Off","isLit":false}""");
        Assert.Equal("off", await SetAsync(false));
        Assert.Equal("False", $"{_bmc.Read(System)!["LocationIndicatorActive"]}", ignoreCase: true);
    }

    private async Task<string> SetAsync(bool lit)
    {
        BmcAccess access = new() { Url = _bmc.BaseAddress.ToString(), User = "evacuator", Password = "evacuator", Fingerprint = _bmc.Fingerprint };
        await using IBmc bmc = (await new RedfishBmcs(_folder.Path, TimeProvider.System, new Random(1)).OpenAsync(access, default)).Bmc!;
        return await bmc.SetLedAsync(lit, default);
    }
}
