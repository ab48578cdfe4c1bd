using Evacuator.Cli;
using Evacuator.Cli.Bmc;
using Evacuator.Lab.BmcSimulator;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Redfish.Session;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Cli;

/// <summary>
/// The whole fault menu, met by a look at a machine whose DIMM has failed. What may come out: that it has, that it cannot be told, or that nothing could be read, with the cause.
/// What must never come out: that all is well, an exception, a session left behind, or nothing at all.
/// </summary>
public sealed class ProbeFaultTests
{
    private const string Dimm = "/redfish/v1/Systems/1/Memory/DIMM_A1";

    /// <summary>What a fault that never ends leaves of the truth; null where the service cannot be read at all, with a word of the cause.</summary>
    public static TheoryData<FaultKind, string?, string> Lasting => new()
    {
        { FaultKind.SessionDropped, null, "401" },
        { FaultKind.SessionTableFull, null, "no free session" },
        { FaultKind.Unavailable, null, "503" },
        { FaultKind.Stall, "evacuate", "" },
        { FaultKind.Disconnect, null, "" },
        { FaultKind.HalfBody, null, "" },
        { FaultKind.HugeBody, null, "larger" },
        { FaultKind.Redirect, null, "redirected" },
        { FaultKind.NextLinkLoop, "unknown", "cannot be told" },
        { FaultKind.MissingMembers, "unknown", "cannot tell about memory" },
        { FaultKind.WrongTypes, "unknown", "cannot tell" },
        { FaultKind.DuplicateKeys, "evacuate", "" },
        { FaultKind.Clock, "evacuate", "" },
        { FaultKind.SseEnds, "evacuate", "" },
        { FaultKind.PushSilent, "evacuate", "" },
        { FaultKind.SubscriptionsVanish, "evacuate", "" },
        { FaultKind.ETagMismatch, "evacuate", "" },
        { FaultKind.ETagRequired, "evacuate", "" },
        { FaultKind.ETagWeak, "evacuate", "" },
        { FaultKind.PowerStale, "evacuate", "" },
        { FaultKind.ResetIgnored, "evacuate", "" },
        { FaultKind.CertificateChanged, null, "pinned" },
        { FaultKind.Restart, "evacuate", "" },
    };

    public static TheoryData<FaultKind> Kinds => [.. Enum.GetValues<FaultKind>().Where(kind => kind != FaultKind.None)];

    [Fact]
    public void Lasting_EveryFault_IsThere() =>
        Assert.Equal(Enum.GetValues<FaultKind>().Where(kind => kind != FaultKind.None), ((IEnumerable<object[]>)Lasting).Select(row => (FaultKind)row[0]).Order());

    [Theory]
    [MemberData(nameof(Lasting))]
    public async Task Probe_FaultThatLasts_IsToldAndNeverHealth(FaultKind kind, string? verdict, string cause)
    {
        await using BmcSimulatorHost bmc = await SickAsync();
        BmcOptions options = Options(bmc);
        bmc.AddFault(Fault(kind, null));
        if (verdict is null)
        {
            CliException refusal = await Assert.ThrowsAsync<CliException>(() => ProbeAsync(options));
            Assert.NotEmpty(refusal.Message);
            Assert.Contains(cause, refusal.Message, StringComparison.Ordinal);
        }
        else
        {
            ProbeReport report = await ProbeAsync(options);
            Assert.Equal(verdict, report.Verdict);
            Assert.Contains(cause, string.Join('\n', report.Warnings), StringComparison.Ordinal);
            Assert.Equal(verdict == "evacuate" ? [Dimm] : [], report.Signals.Select(signal => signal.Evidence));
        }

        Assert.InRange(bmc.Requests.Total, 0, 200);
        // What cannot be reached any more cannot be logged out of; everything else is.
        if (kind is not (FaultKind.Unavailable or FaultKind.Disconnect or FaultKind.Redirect or FaultKind.SessionDropped))
            Assert.Empty(bmc.Sessions);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Probe_FaultOnce_IsOvercomeOrToldAndNeverHealth(FaultKind kind)
    {
        await using BmcSimulatorHost bmc = await SickAsync();
        BmcOptions options = Options(bmc);
        bmc.AddFault(Fault(kind, 1));
        try
        {
            ProbeReport report = await ProbeAsync(options);
            Assert.NotEqual("ok", report.Verdict);
            Assert.True(report.Verdict == "evacuate" || report.Warnings.Count > 0);
        }
        catch (CliException refusal)
        {
            Assert.NotEmpty(refusal.Message);
        }

        Assert.Empty(bmc.Sessions);
    }

    private static async Task<BmcSimulatorHost> SickAsync()
    {
        BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        bmc.Patch(Dimm, """{"Status":{"State":"Enabled","Health":"Critical"}}""");
        return bmc;
    }

    private static Fault Fault(FaultKind kind, int? count) => new() { Kind = kind, Count = count, Stall = 0.02, Size = 20 << 20, RetryAfter = 0 };

    private static BmcOptions Options(BmcSimulatorHost bmc) => new()
    {
        Url = bmc.BaseAddress,
        User = "evacuator",
        Password = _ => ValueTask.FromResult("evacuator"),
        Fingerprint = bmc.Fingerprint,
        Timeouts = new BmcTimeouts { RetryBase = TimeSpan.FromMilliseconds(1) },
    };

    private static async Task<ProbeReport> ProbeAsync(BmcOptions options)
    {
        BmcTarget target = await BmcTarget.SafelyAsync(options, TimeProvider.System, default);
        return await new BmcProbe(target, TimeSpan.FromMinutes(15), TimeProvider.System, new Random(1)).RunAsync(default).WaitAsync(TestLimits.Hang);
    }
}
