using System.Collections.Concurrent;
using Evacuator.Fleet;
using Evacuator.Power;

namespace Evacuator.Tests.Fakes;

/// <summary>Management controllers by URL.</summary>
internal sealed class FakeBmcs : IBmcs
{
    public ConcurrentDictionary<string, FakeBmc> Machines { get; } = new();

    public Task<BmcOpening> OpenAsync(BmcAccess access, CancellationToken token)
    {
        if (!Machines.TryGetValue(access.Url, out FakeBmc? bmc) || bmc.Unreachable)
            return Task.FromResult(new BmcOpening(null, $"{access.Url} does not answer"));
        if (access.Password != "secret")
            return Task.FromResult(new BmcOpening(null, $"{access.Url} refuses user {access.User}"));
        return Task.FromResult(new BmcOpening(bmc, ""));
    }
}

internal sealed class FakeBmc : IBmc
{
    private volatile string _power = "On";

    public bool Unreachable { get; set; }

    /// <summary>The operating system hangs: a shutdown does not bring it down, only force does.</summary>
    public bool Hangs { get; set; }

    public bool Lit { get; private set; }

    public int Forced { get; private set; }

    public string Power
    {
        get => _power;
        set => _power = value;
    }

    public Task<PowerLook> ReadPowerAsync(CancellationToken token) => Task.FromResult(Unreachable ? new PowerLook("Unknown", "no answer") : new PowerLook(_power, ""));

    public async Task<OffLook> VerifyOffAsync(TimeSpan interval, TimeSpan timeout, CancellationToken token)
    {
        for (int read = 0; read < 4; read++)
        {
            if (!Unreachable && _power == "Off")
                return new OffLook(true, "Off", "Off in 2 reads", [new(DateTimeOffset.UtcNow - interval, "/redfish/v1/Systems/1", "Off"), new(DateTimeOffset.UtcNow, "/redfish/v1/Systems/1", "Off")], "ab12");
            await Task.Delay(interval, token);
        }

        return Unreachable ? new OffLook(false, "Unknown", "no answer", [], "") : new OffLook(false, _power, $"the last read said {_power}", [], "");
    }

    public Task<string> ForceOffAsync(CancellationToken token)
    {
        Forced++;
        _power = "Off";
        return Task.FromResult("Accepted");
    }

    public Task<string> SetLedAsync(bool lit, CancellationToken token)
    {
        Lit = lit;
        return Task.FromResult(lit ? "on" : "off");
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
