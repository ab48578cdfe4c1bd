using System.CommandLine;
using System.Text.Json;
using Evacuator.Cli;
using Evacuator.Cli.Bmc;
using Evacuator.Lab.BmcSimulator;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Redfish.Session;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Cli;

/// <summary>"bmc probe" as a person uses it: against mock-up servers that show everything to everybody, and against a BMC that wants a login.</summary>
public sealed class ProbeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string PasswordFile
    {
        get
        {
            string path = Path.Combine(_folder.Path, "password");
            File.WriteAllText(path, "evacuator\n");
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            return path;
        }
    }

    public void Dispose() => _folder.Dispose();

    /// <summary>The verdicts are of the rules on what <c>TreeExpectations</c> of the library's tests has as each tree's signals. Of the
    /// rack server's supplies one announces its failure, the other bay is empty, and the deprecated resource's is unwell: no other is known to work.</summary>
    [SharedDataTheory]
    [InlineData("csm-gigabyte", "ok", "push")]
    [InlineData("csm-openbmc-stock", "unknown", "sse")]
    [InlineData("dell-idrac9-xr8620t", "ok", "sse")]
    [InlineData("dmtf-public-localstorage", "notify", "push")]
    [InlineData("dmtf-public-rackmount1", "urgent", "push")]
    [InlineData("dmtf-public-tower", "notify", "push")]
    [InlineData("hpe-ilo-dl325_gen10plus_fc", "ok", "push")]
    [InlineData("hpe-ilo-dl360_gen12", "ok", "push")]
    [InlineData("lenovo-xcc-bmclib", "unknown", "sse")]
    [InlineData("supermicro-x10sdv", "ok", "push")]
    [InlineData("sushy-tools-fake", "ok", "poll")]
    public async Task Probe_GivenTreeOverPlainHttp_SaysWhatItIsInOneRequestAResource(string tree, string verdict, string events)
    {
        await using MockupServer server = await MockupServer.StartAsync(Path.Combine(Prerequisites.SharedRedfish!, "mockups", tree, "tree"));
        JsonElement report = await ProbeAsync("--url", server.Url);

        Assert.Equal("unique", report.GetProperty("match").GetString());
        Assert.Equal(verdict, report.GetProperty("verdict").GetString());
        Assert.Equal(events, report.GetProperty("events").GetProperty("mode").GetString());
        Assert.All(server.Requests, request => Assert.Equal(1, request.Value));
        Assert.All(server.Requests.Keys, request => Assert.StartsWith("GET ", request, StringComparison.Ordinal));
        Assert.Equal(1, server.MostUnderWay);
        Assert.Equal(server.Requests.Values.Sum(), report.GetProperty("requests").GetInt32());
    }

    [Fact]
    public async Task Probe_Json_HasExactlyTheFieldsPromised()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        bmc.Patch("/redfish/v1/Systems/1/Memory/DIMM_A1", """{"Status":{"State":"Enabled","Health":"Critical"}}""");
        JsonElement report = await ProbeAsync(Login(bmc, "--fingerprint", bmc.Fingerprint));

        Assert.Equal(["service", "system", "match", "signals", "verdict", "power", "led", "events", "logs", "warnings", "requests", "elapsedMs"], Names(report));
        Assert.Equal(["vendor", "product", "version"], Names(report.GetProperty("service")));
        Assert.Equal(["id", "manufacturer", "model", "serial", "uuid", "powerState"], Names(report.GetProperty("system")));
        JsonElement signal = Assert.Single(report.GetProperty("signals").EnumerateArray());
        Assert.Equal(["component", "location", "kind", "severity", "predicted", "state", "messageId", "evidence"], Names(signal));
        Assert.Equal(("memory", "failed", "critical", false, "Enabled"),
            (signal.GetProperty("component").GetString(), signal.GetProperty("kind").GetString(), signal.GetProperty("severity").GetString(),
                signal.GetProperty("predicted").GetBoolean(), signal.GetProperty("state").GetString()));
        Assert.Equal("/redfish/v1/Systems/1/Memory/DIMM_A1", signal.GetProperty("evidence").GetString());
        Assert.Equal("evacuate", report.GetProperty("verdict").GetString());
        Assert.Equal(["resetTypes", "graceful", "force"], Names(report.GetProperty("power")));
        Assert.Equal(["property", "value"], Names(report.GetProperty("led")));
        Assert.Equal(["mode", "reason"], Names(report.GetProperty("events")));
        Assert.Empty(bmc.Sessions);
        Assert.Equal(1, bmc.Requests.HighestConcurrency);
    }

    [Fact]
    public async Task Probe_NoFingerprintOnLoopback_ReadsAndShowsTheOneToCompare()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        JsonElement report = await ProbeAsync(Login(bmc));
        Assert.Equal("ok", report.GetProperty("verdict").GetString());
        Assert.Contains(report.GetProperty("warnings").EnumerateArray(), each => each.GetString()!.Contains(Fingerprint.Normalise(bmc.Fingerprint)!, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Probe_AnotherFingerprint_SendsNothing()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        (int code, _, string error) = await RunAsync(Login(bmc, "--fingerprint", new string('0', 64)));
        Assert.Equal(CliExit.Failed, code);
        Assert.Contains("pinned", error, StringComparison.Ordinal);
        Assert.Equal(0, bmc.Requests.Total);
    }

    [Fact]
    public async Task Probe_LoginIsWanted_SaysHow()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings());
        (int code, string output, string error) = await RunAsync("--url", bmc.BaseAddress.ToString());
        Assert.Equal((CliExit.Failed, ""), (code, output));
        Assert.Contains("--user", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Probe_WrongPassword_FailsAndLeavesNothing()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { Password = () => "another" });
        (int code, string output, string error) = await RunAsync(Login(bmc));
        Assert.Equal(CliExit.Failed, code);
        Assert.Empty(output);
        Assert.Contains("refused", error, StringComparison.Ordinal);
        Assert.Equal(1, bmc.Requests.CountOf("POST", "/redfish/v1/SessionService/Sessions"));
    }

    [Fact]
    public async Task Probe_MockupThatTakesNoLogin_IsReadWithoutOne()
    {
        await using MockupServer server = await MockupServer.StartAsync(OneSystem("""{"Id":"1","PowerState":"On","Memory":{"@odata.id":"/redfish/v1/Systems/1/Memory"}}"""), tls: true);
        JsonElement report = await ProbeAsync("--url", server.Url, "--user", "root", "--password-file", PasswordFile);
        Assert.Equal("unique", report.GetProperty("match").GetString());
        Assert.Equal("unknown", report.GetProperty("verdict").GetString());
    }

    [Fact]
    public async Task Probe_SeveralMachines_AreToldApartByUuidOrNotAtAll()
    {
        await using MockupServer server = await MockupServer.StartAsync(new Dictionary<string, string>
        {
            ["/redfish/v1"] = """{"Systems":{"@odata.id":"/redfish/v1/Systems"}}""",
            ["/redfish/v1/Systems"] = """{"Members":[{"@odata.id":"/redfish/v1/Systems/a"},{"@odata.id":"/redfish/v1/Systems/b"}]}""",
            ["/redfish/v1/Systems/a"] = """{"@odata.id":"/redfish/v1/Systems/a","Id":"a","UUID":"11111111-2222-3333-4444-555555555555"}""",
            ["/redfish/v1/Systems/b"] = """{"@odata.id":"/redfish/v1/Systems/b","Id":"b","UUID":"61111111-2222-3333-4444-555555555555"}""",
        });
        JsonElement ambiguous = await ProbeAsync("--url", server.Url);
        Assert.Equal(("ambiguous", JsonValueKind.Null, "unknown"),
            (ambiguous.GetProperty("match").GetString(), ambiguous.GetProperty("system").ValueKind, ambiguous.GetProperty("verdict").GetString()));
        JsonElement found = await ProbeAsync("--url", server.Url, "--uuid", "61111111-2222-3333-4444-555555555555");
        Assert.Equal("b", found.GetProperty("system").GetProperty("id").GetString());
        JsonElement none = await ProbeAsync("--url", server.Url, "--uuid", "71111111-2222-3333-4444-555555555555");
        Assert.Equal(("none", "unknown"), (none.GetProperty("match").GetString(), none.GetProperty("verdict").GetString()));
        JsonElement named = await ProbeAsync("--url", server.Url, "--uuid", "71111111-2222-3333-4444-555555555555", "--system", "b");
        Assert.Equal("b", named.GetProperty("system").GetProperty("id").GetString());
        Assert.Contains(named.GetProperty("warnings").EnumerateArray(), warning => warning.GetString()!.Contains("its UUID is 61111111", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("http://192.0.2.9", null, false)]
    [InlineData("http://192.0.2.9", "root", false)]
    [InlineData("http://127.0.0.1:8000", "root", true)]
    public async Task Target_PlainHttp_NeverCarriesAPasswordElsewhere(string url, string? user, bool sends)
    {
        BmcOptions options = new() { Url = new Uri(url), User = user, Password = _ => ValueTask.FromResult("secret") };
        BmcTarget target = await BmcTarget.SafelyAsync(options, TimeProvider.System, default);
        Assert.Equal(sends, target.Options.User is not null);
        Assert.Equal(!sends, target.Warnings.Count > 0);
        Assert.Equal(!sends, target.Options.AllowPlainHttp);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("<html>")]
    [InlineData("{\"Systems\":")]
    public async Task Probe_WhatIsNoService_IsSaidInWords(string root)
    {
        await using MockupServer server = await MockupServer.StartAsync(new Dictionary<string, string> { ["/redfish/v1"] = root });
        (int code, string output, string error) = await RunAsync("--url", server.Url, "--json");
        Assert.Equal((CliExit.Failed, ""), (code, output));
        Assert.StartsWith("evacuator: ", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{}""")]
    [InlineData("""{"Systems":null}""")]
    [InlineData("""{"Systems":{}}""")]
    [InlineData("""{"Systems":"nowhere","EventService":7,"Oem":[],"Vendor":{},"RedfishVersion":[1]}""")]
    [InlineData("""{"Systems":{"@odata.id":"/redfish/v1/Systems"},"EventService":{"@odata.id":"/redfish/v1/EventService"}}""")]
    public async Task Probe_RootWithNothingOfUse_IsUnknownAndNotAFailure(string root)
    {
        await using MockupServer server = await MockupServer.StartAsync(new Dictionary<string, string> { ["/redfish/v1"] = root });
        JsonElement report = await ProbeAsync("--url", server.Url);
        Assert.Equal(("none", "unknown", "poll"), (report.GetProperty("match").GetString(), report.GetProperty("verdict").GetString(), report.GetProperty("events").GetProperty("mode").GetString()));
    }

    private static Dictionary<string, string> OneSystem(string system) => new()
    {
        ["/redfish/v1"] = """{"Systems":{"@odata.id":"/redfish/v1/Systems"}}""",
        ["/redfish/v1/Systems"] = """{"Members":[{"@odata.id":"/redfish/v1/Systems/1"}]}""",
        ["/redfish/v1/Systems/1"] = system,
    };

    private string[] Login(BmcSimulatorHost bmc, params string[] more) =>
        ["--url", bmc.BaseAddress.ToString(), "--user", "evacuator", "--password-file", PasswordFile, .. more];

    private static string[] Names(JsonElement element) => [.. element.EnumerateObject().Select(property => property.Name)];

    private static async Task<JsonElement> ProbeAsync(params string[] arguments)
    {
        (int code, string output, string error) = await RunAsync([.. arguments, "--json"]);
        Assert.True(code == CliExit.Ok, error);
        return JsonDocument.Parse(output).RootElement;
    }

    private static async Task<(int Code, string Output, string Error)> RunAsync(params string[] arguments)
    {
        StringWriter output = new(), error = new();
        int code = await EvacuatorCommand.Create().Parse(["bmc", "probe", .. arguments]).InvokeAsync(new InvocationConfiguration { Output = output, Error = error });
        return (code, output.ToString(), error.ToString());
    }
}
