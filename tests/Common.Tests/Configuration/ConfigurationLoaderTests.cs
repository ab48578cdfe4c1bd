using Evacuator.Common.Configuration;
using Evacuator.Testing;

namespace Evacuator.Common.Tests.Configuration;

public sealed class ConfigurationLoaderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string Main => Path.Combine(_folder.Path, "evacuator.conf");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Load_EmptyFile_AllDefaultsAndHostName()
    {
        ConfigurationResult result = Load("");

        Assert.Empty(result.Mistakes);
        Assert.Equal(new EvacuatorOptions().Move, result.Options!.Move);
        Assert.Equal(Environment.MachineName.ToLowerInvariant(), result.Options.Node.Name);
        Assert.All(result.Values, value => Assert.Equal("default", value.Source));
    }

    [Fact]
    public void Load_EverySetting_BecomesItsOption()
    {
        ConfigurationResult result = Load(
            """
            [node]
            name = n1
            uplinks = eth0 eth1
            [fleet]
            peers-file = /p
            tls-directory = /t
            brain-port = 1000
            agent-port = 1001
            [bmc]
            url = https://10.0.0.101:8443/
            user = admin
            password-file = /w
            fingerprint = aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99
            system = 1
            uuid = 4c4c4544-0042-3510-8056-b4c04f4e4d32
            poll-interval = 90s
            push-address = 10.0.0.1
            push-port = 1002
            [containers]
            runc-root = /run/other
            [move]
            parallel = 7
            freeze-budget = 300ms
            memory-reserve = 12
            avoid-window = 2h
            stop-budget = 3min
            [evacuation]
            on-critical-signal = evacuate-and-power-off
            partial = yes
            [signals]
            confirm-after = 1min
            settle = 2min
            cool-down = 3min
            fleet-share = 40
            [power]
            verify-timeout = 1h 5min
            verify-interval = 250ms
            [log]
            level = debug
            """);

        Assert.Empty(result.Mistakes);
        EvacuatorOptions options = result.Options!;
        Assert.Equal("n1", options.Node.Name);
        Assert.Equal(["eth0", "eth1"], options.Node.Uplinks);
        Assert.Equal(new FleetOptions { PeersFile = "/p", TlsDirectory = "/t", BrainPort = 1000, AgentPort = 1001 }, options.Fleet);
        Assert.Equal(
            new BmcSettings
            {
                Url = "https://10.0.0.101:8443",
                User = "admin",
                PasswordFile = "/w",
                Fingerprint = "AABBCCDDEEFF00112233445566778899AABBCCDDEEFF00112233445566778899",
                System = "1",
                Uuid = "4c4c4544-0042-3510-8056-b4c04f4e4d32",
                PollInterval = TimeSpan.FromSeconds(90),
                PushAddress = "10.0.0.1",
                PushPort = 1002,
            },
            options.Bmc);
        Assert.Equal("/run/other", options.Containers.RuncRoot);
        Assert.Equal(new MoveOptions { Parallel = 7, FreezeBudget = TimeSpan.FromMilliseconds(300), MemoryReservePercent = 12, AvoidWindow = TimeSpan.FromHours(2), StopBudget = TimeSpan.FromMinutes(3) }, options.Move);
        Assert.Equal(new EvacuationOptions { OnCriticalSignal = SignalAction.EvacuateAndPowerOff, Partial = true }, options.Evacuation);
        Assert.Equal(
            new SignalOptions { ConfirmAfter = TimeSpan.FromMinutes(1), Settle = TimeSpan.FromMinutes(2), CoolDown = TimeSpan.FromMinutes(3), FleetSharePercent = 40 }, options.Signals);
        Assert.Equal(new PowerOptions { VerifyTimeout = TimeSpan.FromMinutes(65), VerifyInterval = TimeSpan.FromMilliseconds(250) }, options.Power);
        Assert.Equal("debug", options.Log.Level);
        Assert.Equal("1min 30s", Assert.Single(result.Values, value => value.Key == "poll-interval").Value);
        Assert.Equal($"{Main}:2", Assert.Single(result.Values, value => value is { Section: "node", Key: "name" }).Source);
    }

    [Fact]
    public void Load_DropIns_LaterNameWinsListsGrowEmptyResets()
    {
        DropIn("20-late.conf", "[move]\nparallel = 5\n[node]\nuplinks = eth1\n[log]\nlevel =\n");
        DropIn("10-early.conf", "[move]\nparallel = 4\nparallel = 6\n[node]\nuplinks = eth0\n");
        DropIn(".hidden.conf", "nonsense");
        DropIn("evacuator.conf.dpkg-old", "nonsense");

        ConfigurationResult result = Load("[move]\nparallel = 2\n[log]\nlevel = error\n");

        Assert.Empty(result.Mistakes);
        Assert.Equal(5, result.Options!.Move.Parallel);
        Assert.Equal(["eth0", "eth1"], result.Options.Node.Uplinks);
        Assert.Equal("information", result.Options.Log.Level);
        Assert.Equal("default", Assert.Single(result.Values, value => value.Key == "level").Source);
        string folder = Main + ".d";
        Assert.Equal($"{folder}/20-late.conf:2", Assert.Single(result.Values, value => value.Key == "parallel").Source);
        Assert.Equal($"{folder}/10-early.conf:5, {folder}/20-late.conf:4", Assert.Single(result.Values, value => value.Key == "uplinks").Source);
    }

    [Fact]
    public void Load_ManyMistakes_AllReportedWithFileAndLine()
    {
        DropIn("10-x.conf", "[mov]\nparallel = 3\n[power]\nverify-timeout = soon\n");

        ConfigurationResult result = Load(
            """
            orphan = 1
            [node
            name = x
            [move]
            paralel = 3
            parallel = 0
            freeze-budget = 300
            just words
            [evacuation]
            on-critical-signal = explode
            partial = "yes"
            [node]
            level = debug
            [bmc]
            url = http://10.0.0.1
            user = admin
            fingerprint = 1234
            """);

        Assert.Null(result.Options);
        string dropIn = Main + ".d/10-x.conf";
        Assert.Equal(
            [
                $"{Main}:1: \"orphan\" stands before the first [section]",
                $"{Main}:2: \"[node\" is not a section: write [name]",
                $"{Main}:8: \"just words\" is neither [section] nor key = value; comments begin with # or ;",
                $"{Main}:5: unknown key \"paralel\" in [move]; did you mean parallel?",
                $"{Main}:6: parallel = 0: must be a whole number from 1 to 64",
                $"{Main}:7: freeze-budget = 300: must be a duration like 300ms, 5s, 2min or 1h, from 10ms to 1h",
                $"{Main}:10: on-critical-signal = explode: must be ignore, notify, evacuate or evacuate-and-power-off",
                $"{Main}:11: partial: write the value without quotes",
                $"{Main}:13: unknown key \"level\" in [node]; did you mean level in [log]?",
                $"{Main}:15: url = http://10.0.0.1: must be an https:// address without path",
                $"{Main}:17: fingerprint = 1234: must be a SHA-256 in 64 hex digits, with or without colons",
                $"{dropIn}:1: unknown section [mov]; did you mean [move]?",
                $"{dropIn}:4: verify-timeout = soon: must be a duration like 300ms, 5s, 2min or 1h, from 1s to 1d",
                $"{Main}:16: a BMC needs a url as well",
            ],
            result.Mistakes.Select(mistake => mistake.ToString()));
    }

    [Fact]
    public void Load_MissingFile_IsAMistake()
    {
        ConfigurationResult result = ConfigurationLoader.Load(Main);

        Assert.Null(result.Options);
        Assert.Equal($"{Main}: does not exist", Assert.Single(result.Mistakes).ToString());
    }

    [Fact]
    public void Load_NotText_IsAMistakeOfTheFile()
    {
        File.WriteAllBytes(Main, [0xFF, 0xFE, 0x00]);

        Assert.Equal($"{Main}: is not UTF-8 text", Assert.Single(ConfigurationLoader.Load(Main).Mistakes).ToString());
    }

    [Fact]
    public void Load_Combinations_AreJudgedTogether()
    {
        ConfigurationResult result = Load(
            $"""
            [bmc]
            url = https://10.0.0.1
            fingerprint = {new string('a', 64)}
            ca-file = /does/not/exist.pem
            [fleet]
            agent-port = 7360
            """);

        Assert.Equal(
            [
                $"{Main}:4: fingerprint and ca-file exclude each other: keep one",
                $"{Main}:2: a BMC needs a user as well",
                $"{Main}:4: /does/not/exist.pem does not exist or is not accessible",
                $"{Main}:6: brain-port and agent-port must differ",
            ],
            result.Mistakes.Select(mistake => mistake.ToString()));
    }

    private ConfigurationResult Load(string text)
    {
        File.WriteAllText(Main, text);
        return ConfigurationLoader.Load(Main);
    }

    private void DropIn(string name, string text)
    {
        Directory.CreateDirectory(Main + ".d");
        File.WriteAllText(Path.Combine(Main + ".d", name), text);
    }
}
