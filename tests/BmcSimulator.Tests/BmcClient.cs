using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Tests;

/// <summary>What came back: status, body as an object (empty where there is none), headers.</summary>
internal sealed record Answer(int Status, JsonObject Body, string Text, HttpResponseHeaders Headers)
{
    public string? MessageId => (Body.Get("error").Get("@Message.ExtendedInfo") as JsonArray)?[0].Get("MessageId").Text()?.Split('.')[^1];
}

/// <summary>A plain Redfish client that trusts only the certificate whose fingerprint it was given.</summary>
internal sealed class BmcClient : IDisposable
{
    public const string Sessions = "/redfish/v1/SessionService/Sessions";
    public const string System = "/redfish/v1/Systems/1";
    public const string Chassis = "/redfish/v1/Chassis/1";
    public const string Reset = System + "/Actions/ComputerSystem.Reset";
    public const string Dimm = System + "/Memory/DIMM_A1";
    public const string Entries = System + "/LogServices/EventLog/Entries";
    public const string Stream = "/redfish/v1/EventService/SSE";
    public const string Subscriptions = "/redfish/v1/EventService/Subscriptions";

    private readonly HttpClient _http;

    public BmcClient(BmcSimulatorHost host, string? user = null)
    {
        string fingerprint = host.Fingerprint;
        _http = new HttpClient(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            SslOptions = new SslClientAuthenticationOptions
            {
                RemoteCertificateValidationCallback = (_, certificate, _, _) => Convert.ToHexStringLower(SHA256.HashData(((X509Certificate2)certificate!).RawData)) == fingerprint,
            },
        })
        { BaseAddress = host.BaseAddress, Timeout = TimeSpan.FromSeconds(30) };
        if (user is not null)
        {
            _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(user)));
        }
    }

    /// <summary>The URI of the session after <see cref="LogInAsync"/>.</summary>
    public string? Session { get; private set; }

    /// <summary>A client that logs in at once.</summary>
    public static async Task<BmcClient> LogInToAsync(BmcSimulatorHost host, string sessions = Sessions)
    {
        var client = new BmcClient(host);
        Assert.Equal(201, (await client.LogInAsync(sessions)).Status);
        return client;
    }

    public async Task<Answer> LogInAsync(string sessions = Sessions, string password = "evacuator")
    {
        Answer answer = await PostAsync(sessions, $$"""{"UserName":"evacuator","Password":"{{password}}"}""");
        if (answer.Status == 201)
        {
            _http.DefaultRequestHeaders.Add("X-Auth-Token", answer.Headers.GetValues("X-Auth-Token").Single());
            Session = answer.Headers.Location!.ToString();
        }

        return answer;
    }

    public Task<Answer> GetAsync(string uri) => SendAsync(HttpMethod.Get, uri);

    public Task<Answer> DeleteAsync(string uri) => SendAsync(HttpMethod.Delete, uri);

    public Task<Answer> PostAsync(string uri, string json) => SendAsync(HttpMethod.Post, uri, json);

    public Task<Answer> PatchAsync(string uri, string json, string? ifMatch = null) => SendAsync(HttpMethod.Patch, uri, json, ifMatch);

    public Task<Answer> ResetAsync(string type) => PostAsync(Reset, $$"""{"ResetType":"{{type}}"}""");

    public async Task<string?> PowerStateAsync() => (await GetAsync(System)).Body.Get("PowerState").Text();

    /// <summary>Opens the event stream and returns when its headers are there.</summary>
    public async Task<StreamReader> OpenStreamAsync(string uri = Stream, string? lastEventId = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, uri);
        if (lastEventId is not null)
        {
            request.Headers.Add("Last-Event-ID", lastEventId);
        }

        HttpResponseMessage response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        return new StreamReader(await response.Content.ReadAsStreamAsync());
    }

    /// <summary>The next event of a stream, or null at its end.</summary>
    public static async Task<(string? Id, JsonObject Event)?> NextEventAsync(StreamReader stream)
    {
        string? id = null;
        var data = new StringBuilder();
        while (await stream.ReadLineAsync() is { } line)
        {
            if (line.StartsWith("id: ", StringComparison.Ordinal))
            {
                id = line[4..];
            }
            else if (line.StartsWith("data: ", StringComparison.Ordinal))
            {
                data.Append(line, 6, line.Length - 6).Append('\n');
            }
            else if (line.Length == 0)
            {
                return (id, JsonText.ParseObject(Encoding.UTF8.GetBytes(data.ToString())));
            }
        }

        return null;
    }

    public void Dispose() => _http.Dispose();

    private async Task<Answer> SendAsync(HttpMethod method, string uri, string? json = null, string? ifMatch = null)
    {
        using var request = new HttpRequestMessage(method, uri);
        if (json is not null)
        {
            request.Content = new StringContent(json, Encoding.UTF8, "application/json");
        }

        if (ifMatch is not null)
        {
            request.Headers.TryAddWithoutValidation("If-Match", ifMatch);
        }

        using HttpResponseMessage response = await _http.SendAsync(request);
        string text = await response.Content.ReadAsStringAsync();
        JsonObject body = text.Length > 0 && JsonText.Parse(Encoding.UTF8.GetBytes(text)) is JsonObject map ? map : [];
        return new Answer((int)response.StatusCode, body, text, response.Headers);
    }
}
