using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;
using Evacuator.Testing;

namespace Evacuator.Lab.BmcSimulator.Tests;

/// <summary>The control socket, the state directory and the program itself.</summary>
public sealed class ControlTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("bmc").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task Socket_EventPatchAndState_WorkWithoutPassword()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { StateDirectory = _directory });
        using HttpClient control = Control(_directory);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_directory, "control.sock")));

        string shipped = await File.ReadAllTextAsync(Path.Combine(Prerequisites.ProjectRoot, "lab", "events", "predicted-drive.json"));
        Assert.Equal(204, await StatusAsync(control, HttpMethod.Post, "/event", shipped));
        JsonNode? drive = await GetAsync(control, BmcClient.System + "/Storage/1/Drives/Bay_0");
        Assert.True(drive.Get("FailurePredicted").Flag());

        Assert.Equal(200, await StatusAsync(control, HttpMethod.Patch, BmcClient.Dimm, """{"Status":{"Health":"Critical"}}"""));
        Assert.Equal("Critical", bmc.Read(BmcClient.Dimm).Get("Status").Get("Health").Text());
        Assert.Equal(bmc.Fingerprint, (await GetAsync(control, "/state")).Get("fingerprint").Text());
        Assert.Equal(bmc.Fingerprint, (await File.ReadAllTextAsync(Path.Combine(_directory, "fingerprint"))).Trim());
    }

    [Fact]
    public async Task Socket_Requests_CountsClientsAndNotItself()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { StateDirectory = _directory });
        using HttpClient control = Control(_directory);
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        Assert.Equal(204, await StatusAsync(control, HttpMethod.Delete, "/requests"));
        await client.GetAsync(BmcClient.System);
        await client.GetAsync(BmcClient.System);
        await GetAsync(control, BmcClient.System);
        JsonNode? requests = await GetAsync(control, "/requests");
        Assert.Equal(2, requests.Get("total").Number());
        Assert.Equal(1, requests.Get("highestConcurrency").Number());
        Assert.Equal(2, ((JsonArray)requests.Get("requests")!).Single().Get("count").Number());
        Assert.Equal("1", ((JsonArray)(await GetAsync(control, "/sessions")).Get("sessions")!).Single().Get("id").Text());
    }

    [Fact]
    public async Task Socket_Faults_AddedListedCleared()
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { StateDirectory = _directory });
        using HttpClient control = Control(_directory);
        using BmcClient client = await BmcClient.LogInToAsync(bmc);
        Assert.Equal(204, await StatusAsync(control, HttpMethod.Post, "/faults", """{"kind":"unavailable","count":5}"""));
        Assert.Equal(503, (await client.GetAsync(BmcClient.System)).Status);
        JsonNode? listed = await GetAsync(control, "/faults");
        Assert.Equal(("unavailable", 4d), (((JsonArray)listed!)[0].Get("kind").Text(), ((JsonArray)listed)[0].Get("count").Number()));
        Assert.Equal(204, await StatusAsync(control, HttpMethod.Delete, "/faults"));
        Assert.Equal(200, (await client.GetAsync(BmcClient.System)).Status);
    }

    [Theory]
    [InlineData("POST", "/event", "{}", 400)]
    [InlineData("POST", "/event", "nonsense", 400)]
    [InlineData("POST", "/faults", """{"kind":"sabotage"}""", 400)]
    [InlineData("PATCH", "/redfish/v1/Systems/9", "{}", 404)]
    [InlineData("GET", "/redfish/v1/Systems/9", null, 404)]
    [InlineData("POST", "/anything", "{}", 404)]
    public async Task Socket_Wrong_RefusedWithReason(string method, string path, string? body, int status)
    {
        await using BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { StateDirectory = _directory });
        using HttpClient control = Control(_directory);
        using HttpResponseMessage response = await SendAsync(control, new HttpMethod(method), path, body);
        Assert.Equal(status, (int)response.StatusCode);
        Assert.NotEmpty(JsonNode.Parse(await response.Content.ReadAsStringAsync()).Get("error").Text()!);
    }

    [Fact]
    public async Task Restart_KeepsCertificateModelLogAndSubscriptions_NotSessions()
    {
        string fingerprint;
        await using (BmcSimulatorHost bmc = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { StateDirectory = _directory }))
        {
            fingerprint = bmc.Fingerprint;
            using BmcClient client = await BmcClient.LogInToAsync(bmc);
            await client.PatchAsync(BmcClient.System, """{"LocationIndicatorActive":true}""");
            await client.PostAsync(BmcClient.Subscriptions, """{"Destination":"https://127.0.0.1:9/x","Protocol":"Redfish","Context":"mine"}""");
            bmc.Remove(BmcClient.System + "/Memory/DIMM_B2");
        }

        Assert.False(File.Exists(Path.Combine(_directory, "fingerprint")));
        await using BmcSimulatorHost again = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { StateDirectory = _directory });
        Assert.Equal(fingerprint, again.Fingerprint);
        Assert.True(again.Read(BmcClient.Chassis).Get("LocationIndicatorActive").Flag());
        Assert.Null(again.Read(BmcClient.System + "/Memory/DIMM_B2"));
        Assert.Equal("mine", again.Subscriptions.Single().Get("Context").Text());
        Assert.Single((JsonArray)again.Read(BmcClient.Entries)!["Members"]!);
        Assert.Empty(again.Sessions);
    }

    [Theory]
    [InlineData("fingerprint")]
    [InlineData("bmc.pfx")]
    public async Task Restart_WithoutThatFile_ItIsMadeAgain(string file)
    {
        await using (await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { StateDirectory = _directory }))
        {
        }

        File.Delete(Path.Combine(_directory, file));
        await using BmcSimulatorHost again = await BmcSimulatorHost.StartAsync(new BmcSimulatorSettings { StateDirectory = _directory });
        Assert.True(File.Exists(Path.Combine(_directory, file)));
    }

    [Fact]
    public async Task Program_StartsServesAndStops()
    {
        string passwordFile = Path.Combine(_directory, "password");
        await File.WriteAllTextAsync(passwordFile, "s3cret\n");
        string faults = Path.Combine(_directory, "faults.json");
        await File.WriteAllTextAsync(faults, """{"kind":"unavailable","count":1}""");
        using var program = new SimulatorProgram(
            "--name", "node3", "--listen", "127.0.0.1:0", "--state-dir", _directory, "--pid-file", Path.Combine(_directory, "pid"),
            "--on", $"sleep 300 >/dev/null 2>&1 & echo $! > {_directory}/pid", "--graceful", $"kill $(cat {_directory}/pid)", "--force-off", $"kill -9 $(cat {_directory}/pid)",
            "--user", "evacuator", "--password-file", passwordFile, "--faults", faults);
        Assert.StartsWith("node3: https://127.0.0.1:", await program.FirstLineAsync(), StringComparison.Ordinal);

        using HttpClient control = Control(_directory);
        Assert.Equal("unavailable", ((JsonArray)(await GetAsync(control, "/faults"))!)[0].Get("kind").Text());
        Assert.Equal(NodeIdentity.FromName("node3").Uuid.ToString(), (await GetAsync(control, BmcClient.System)).Get("UUID").Text());
        Assert.Equal("Off", (await GetAsync(control, BmcClient.System)).Get("PowerState").Text());

        Assert.Equal(0, await program.TerminateAsync());
        Assert.False(File.Exists(Path.Combine(_directory, "control.sock")));
    }

    [Fact]
    public async Task Program_WrongOptions_NamesThemAllAndExits2()
    {
        using var program = new SimulatorProgram("--name", "n", "--listen", "nowhere", "--colour", "red", "--password-file", "/does/not/exist");
        Assert.Equal(2, await program.WaitAsync());
        string errors = await program.ErrorsAsync();
        Assert.Contains("--colour is not an option", errors, StringComparison.Ordinal);
        Assert.Contains("--listen nowhere is not ADDRESS:PORT", errors, StringComparison.Ordinal);
        Assert.Contains("--state-dir is missing", errors, StringComparison.Ordinal);
        Assert.Contains("/does/not/exist does not exist", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Program_ModelFileDamaged_SaysWhichAndExits1()
    {
        string passwordFile = Path.Combine(_directory, "password");
        await File.WriteAllTextAsync(passwordFile, "s3cret\n");
        await File.WriteAllTextAsync(Path.Combine(_directory, "model.json"), "{ \"Model\": ");
        using var program = new SimulatorProgram(
            "--name", "node3", "--listen", "127.0.0.1:0", "--state-dir", _directory, "--pid-file", "pid", "--on", "true", "--graceful", "true", "--force-off", "true",
            "--user", "evacuator", "--password-file", passwordFile);
        Assert.Equal(1, await program.WaitAsync());
        Assert.Contains("model.json", await program.ErrorsAsync(), StringComparison.Ordinal);
    }

    private static HttpClient Control(string directory) => new(new SocketsHttpHandler
    {
        ConnectCallback = async (_, token) =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(directory, "control.sock")), token);
            return new NetworkStream(socket, ownsSocket: true);
        },
    })
    { BaseAddress = new Uri("http://control") };

    private static Task<HttpResponseMessage> SendAsync(HttpClient control, HttpMethod method, string path, string? body) =>
        control.SendAsync(new HttpRequestMessage(method, path) { Content = body is null ? null : new StringContent(body, Encoding.UTF8, "application/json") });

    private static async Task<int> StatusAsync(HttpClient control, HttpMethod method, string path, string? body = null)
    {
        using HttpResponseMessage response = await SendAsync(control, method, path, body);
        return (int)response.StatusCode;
    }

    private static async Task<JsonNode?> GetAsync(HttpClient control, string path) => JsonNode.Parse(await control.GetStringAsync(path));
}
