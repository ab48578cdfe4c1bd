using System.Globalization;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Evacuator.Lab.Tests.Evacuations;

namespace Evacuator.Lab.Tests.Engine;

/// <summary>
/// A node's agent as its own brain speaks to it, reached through the node's file system. For many moves in a row: an evacuation takes
/// seconds for its proof, and the node has to be opened again after each.
/// </summary>
internal sealed class AgentSocket : IDisposable
{
    private static readonly TimeSpan s_pace = TimeSpan.FromMilliseconds(100);

    private readonly Node _node;
    private readonly HttpClient _http;

    public AgentSocket(Node node, string rack)
    {
        _node = node;
        // The node's first process is the only child of its nspawn.
        string nspawn = File.ReadAllText($"/run/evacuator-lab/{rack}/{node.Name}.pid").Trim();
        string leader = File.ReadAllText($"/proc/{nspawn}/task/{nspawn}/children").Split(' ')[0];
        string path = $"/proc/{leader}/root/run/evacuator-agent/agent.sock";
        _http = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (_, cancel) =>
            {
                Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancel);
                return new NetworkStream(socket, ownsSocket: true);
            },
        })
        {
            BaseAddress = new Uri("http://localhost"), Timeout = TimeSpan.FromMinutes(3),
        };
    }

    /// <summary>Moves a container to another node; fails the test unless it runs there in the end. Answers the source's report.</summary>
    public async Task<JsonObject> MoveAsync(string container, AgentSocket to, int freezeBudgetMs)
    {
        JsonNode report = (await _http.GetFromJsonAsync<JsonArray>("/v1/containers"))!.Single(c => (string?)c!["name"] == container)!;
        Guid id = Guid.NewGuid();
        string token = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
        JsonObject inbound = await to.PostAsync("/v1/inbound", new JsonObject
        {
            ["moveId"] = id, ["token"] = token, ["sourceNode"] = _node.Name, ["container"] = report.DeepClone(), ["leaseSeconds"] = 120,
        });
        Assert.True((bool?)inbound["accepted"], $"{to._node} does not take {container}: {inbound}");
        await PostAsync("/v1/moves", new JsonObject
        {
            ["moveId"] = id, ["evacuationId"] = Guid.NewGuid(), ["container"] = container, ["destinationNode"] = to._node.Name,
            ["destinationAddress"] = to._node.Address, ["token"] = token, ["freezeBudgetMs"] = freezeBudgetMs,
        });
        JsonObject move;
        do
        {
            await Task.Delay(s_pace);
            move = (await _http.GetFromJsonAsync<JsonObject>($"/v1/moves/{id}"))!;
        }
        while ((string?)move["phase"] is not ("moved" or "stayed"));
        Assert.True((string?)move["phase"] == "moved", $"{container} stayed on {_node}: {move}");
        return move;
    }

    public void Dispose() => _http.Dispose();

    private async Task<JsonObject> PostAsync(string path, JsonObject body)
    {
        using HttpResponseMessage response = await _http.PostAsJsonAsync(path, body);
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, string.Create(CultureInfo.InvariantCulture, $"{_node}: POST {path} was answered {(int)response.StatusCode}: {text}"));
        return JsonNode.Parse(text)!.AsObject();
    }
}
