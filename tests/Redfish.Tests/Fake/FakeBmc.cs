using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Evacuator.Redfish.Session;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Evacuator.Redfish.Tests.Fake;

/// <summary>
/// A small Redfish service on loopback, over real TLS, that a test scripts: a tree of resources, a session table, and faults that step in before the normal answer.
/// </summary>
internal sealed class FakeBmc : IAsyncDisposable
{
    public const string User = "operator";
    public const string Password = "secret";
    public const string SessionsUri = "/redfish/v1/SessionService/Sessions";
    public const string SystemUri = "/redfish/v1/Systems/1";
    public const string ChassisUri = "/redfish/v1/Chassis/1";

    private readonly WebApplication _app;
    private readonly ConcurrentQueue<Fault> _faults = new();
    private readonly ConcurrentQueue<string> _requests = new();
    private int _sessionNumber;
    private int _underWay;
    private int _mostUnderWay;

    private FakeBmc(WebApplication app, string fingerprint)
    {
        _app = app;
        Fingerprint = fingerprint;
    }

    public Uri Url { get; private set; } = null!;

    public string Fingerprint { get; }

    /// <summary>Bodies by path without last slash.</summary>
    public ConcurrentDictionary<string, JsonObject> Tree { get; } = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Token by session URI.</summary>
    public ConcurrentDictionary<string, string> Sessions { get; } = new();

    /// <summary>Logins accepted so far.</summary>
    public int Logins => _sessionNumber;

    public int MaxSessions { get; set; } = 8;

    public bool SendLocation { get; set; } = true;

    /// <summary>"METHOD /path" in order of arrival.</summary>
    public IReadOnlyList<string> Requests => [.. _requests];

    public int MostUnderWay => _mostUnderWay;

    /// <summary>Called for PATCH after the normal merge, and for POST to actions.</summary>
    public Func<HttpContext, JsonObject?, Task<bool>>? OnChange { get; set; }

    /// <param name="at">Port to listen on; null takes any.</param>
    /// <param name="certificate">With its key; null makes a self-signed one without any usable name, as factories do.</param>
    /// <param name="plain">HTTP without TLS.</param>
    public static async Task<FakeBmc> StartAsync(Uri? at = null, X509Certificate2? certificate = null, bool plain = false)
    {
        certificate ??= SelfSigned();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, at?.Port ?? 0, listen =>
        {
            if (!plain)
                listen.UseHttps(certificate);
        }));
        WebApplication app = builder.Build();
        FakeBmc bmc = new(app, Evacuator.Redfish.Session.Fingerprint.Of(certificate));
        app.Run(bmc.ServeAsync);
        bmc.AddModel();
        await app.StartAsync();
        bmc.Url = new Uri(app.Urls.First());
        return bmc;
    }

    private static X509Certificate2 SelfSigned()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=fake-bmc", key, HashAlgorithmName.SHA256);
        using X509Certificate2 made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(30));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null);
    }

    public BmcOptions Options => new()
    {
        Url = Url,
        User = User,
        Password = _ => ValueTask.FromResult(Password),
        Fingerprint = Fingerprint,
        Timeouts = new BmcTimeouts { RetryBase = TimeSpan.FromMilliseconds(1) },
    };

    public BmcClient Client(TimeProvider? time = null, Func<BmcOptions, BmcOptions>? change = null) =>
        new(change?.Invoke(Options) ?? Options, time ?? TimeProvider.System, new Random(1));

    /// <summary>Steps in before the normal answer for requests that match, so many times.</summary>
    public void AddFault(string method, string path, Func<HttpContext, Task> answer, int times = 1) =>
        _faults.Enqueue(new Fault(method, path, answer, times));

    public void AddFault(string method, string path, int status, int times = 1, string? body = null, params (string Name, string Value)[] headers) =>
        AddFault(method, path, async context =>
        {
            foreach ((string name, string value) in headers)
                context.Response.Headers[name] = value;
            await WriteAsync(context, status, body);
        }, times);

    public int CountOf(string methodAndPath) => Requests.Count(r => r == methodAndPath);

    private async Task ServeAsync(HttpContext context)
    {
        string path = context.Request.Path.Value!.TrimEnd('/');
        string query = context.Request.QueryString.Value ?? "";
        _requests.Enqueue($"{context.Request.Method} {path}{query}");
        InterlockedMax(ref _mostUnderWay, Interlocked.Increment(ref _underWay));
        try
        {
            foreach (Fault fault in _faults)
            {
                if (fault.Takes(context.Request.Method, path))
                {
                    await fault.Answer(context);
                    return;
                }
            }
            await AnswerAsync(context, path, query);
        }
        finally
        {
            Interlocked.Decrement(ref _underWay);
        }
    }

    private async Task AnswerAsync(HttpContext context, string path, string query)
    {
        string method = context.Request.Method;
        if (path.Equals(SessionsUri, StringComparison.OrdinalIgnoreCase) && method == "POST")
        {
            await LoginAsync(context);
            return;
        }
        if (path != "/redfish/v1" && !Authorised(context))
        {
            await WriteAsync(context, 401, Error("NoValidSession"));
            return;
        }
        if (method == "DELETE" && Sessions.TryRemove(path, out _))
        {
            await WriteAsync(context, 204, null);
            return;
        }
        if (method is "POST" or "PATCH" or "DELETE")
        {
            using StreamReader reader = new(context.Request.Body);
            string text = await reader.ReadToEndAsync();
            JsonObject? body = text.Length > 0 ? JsonNode.Parse(text)!.AsObject() : null;
            if (OnChange is { } change && await change(context, body))
                return;
            if (method == "PATCH" && Tree.TryGetValue(path, out JsonObject? resource) && body is not null)
            {
                lock (resource)
                    foreach ((string name, JsonNode? value) in body)
                        resource[name] = value?.DeepClone();
                await WriteAsync(context, 204, null);
                return;
            }
            await WriteAsync(context, method == "POST" ? 405 : 404, Error("ResourceNotFound"));
            return;
        }
        if (Tree.TryGetValue(path + query, out JsonObject? found) || Tree.TryGetValue(path, out found))
        {
            string json;
            lock (found)
                json = found.ToJsonString();
            if (found["@odata.etag"]?.ToString() is { } etag)
                context.Response.Headers.ETag = etag;
            await WriteAsync(context, 200, json);
            return;
        }
        await WriteAsync(context, 404, Error("ResourceNotFound"));
    }

    private async Task LoginAsync(HttpContext context)
    {
        JsonNode? body = await JsonNode.ParseAsync(context.Request.Body);
        if (body?["UserName"]?.ToString() != User || body["Password"]?.ToString() != Password)
        {
            await WriteAsync(context, 401, Error("NoValidSession"));
            return;
        }
        if (Sessions.Count >= MaxSessions)
        {
            await WriteAsync(context, 503, Error("SessionLimitExceeded"));
            return;
        }
        string uri = OpenSession(context);
        await WriteAsync(context, 201, new JsonObject { ["@odata.id"] = uri, ["Id"] = uri.Split('/')[^1] }.ToJsonString());
    }

    /// <summary>Opens a session and puts token and location into the answer's headers.</summary>
    public string OpenSession(HttpContext context)
    {
        int number = Interlocked.Increment(ref _sessionNumber);
        string uri = $"{SessionsUri}/{number}";
        string token = $"token-{number}";
        Sessions[uri] = token;
        context.Response.Headers["X-Auth-Token"] = token;
        if (SendLocation)
            context.Response.Headers.Location = uri;
        return uri;
    }

    private bool Authorised(HttpContext context)
    {
        if (context.Request.Headers["X-Auth-Token"] is [{ } token])
            return Sessions.Values.Contains(token);
        string expected = "Basic " + Convert.ToBase64String(Encoding.UTF8.GetBytes($"{User}:{Password}"));
        return context.Request.Headers.Authorization == expected;
    }

    public static async Task WriteAsync(HttpContext context, int status, string? body)
    {
        context.Response.StatusCode = status;
        if (body is null)
            return;
        byte[] bytes = Encoding.UTF8.GetBytes(body);
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = bytes.Length;
        await context.Response.Body.WriteAsync(bytes);
    }

    public static string Error(string key, params string[] args) => new JsonObject
    {
        ["error"] = new JsonObject
        {
            ["code"] = "Base.1.8.GeneralError",
            ["@Message.ExtendedInfo"] = new JsonArray(new JsonObject
            {
                ["MessageId"] = $"Base.1.8.1.{key}",
                ["Message"] = $"text of {key}",
                ["MessageArgs"] = new JsonArray([.. args.Select(a => (JsonNode)JsonValue.Create(a))]),
            }),
        },
    }.ToJsonString();

    private void AddModel()
    {
        Tree["/redfish/v1"] = JsonNode.Parse("""
            {"@odata.id":"/redfish/v1/","RedfishVersion":"1.11.0","Systems":{"@odata.id":"/redfish/v1/Systems"},"Chassis":{"@odata.id":"/redfish/v1/Chassis"},
             "EventService":{"@odata.id":"/redfish/v1/EventService"},
             "SessionService":{"@odata.id":"/redfish/v1/SessionService"},"Links":{"Sessions":{"@odata.id":"/redfish/v1/SessionService/Sessions"}}}
            """)!.AsObject();
        Tree["/redfish/v1/Systems"] = JsonNode.Parse("""{"@odata.id":"/redfish/v1/Systems","Members":[{"@odata.id":"/redfish/v1/Systems/1"}]}""")!.AsObject();
        Tree[SystemUri] = JsonNode.Parse("""
            {"@odata.id":"/redfish/v1/Systems/1","Id":"1","UUID":"4c4c4544-0051-3010-8042-b5c04f4d3233","PowerState":"On","IndicatorLED":"Off",
             "Links":{"Chassis":[{"@odata.id":"/redfish/v1/Chassis/1"}]},
             "Actions":{"#ComputerSystem.Reset":{"target":"/redfish/v1/Systems/1/Actions/ComputerSystem.Reset","ResetType@Redfish.AllowableValues":["On","ForceOff","GracefulShutdown","PushPowerButton"]}}}
            """)!.AsObject();
        Tree[ChassisUri] = JsonNode.Parse("""
            {"@odata.id":"/redfish/v1/Chassis/1","Id":"1","ChassisType":"RackMount","PowerState":"On","Links":{"ComputerSystems":[{"@odata.id":"/redfish/v1/Systems/1"}]}}
            """)!.AsObject();
    }

    private static void InterlockedMax(ref int target, int value)
    {
        int seen = Volatile.Read(ref target);
        while (value > seen && Interlocked.CompareExchange(ref target, value, seen) is var before && before != seen)
            seen = before;
    }

    public async ValueTask DisposeAsync()
    {
        using CancellationTokenSource now = new();
        await now.CancelAsync();
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }

    private sealed class Fault(string method, string path, Func<HttpContext, Task> answer, int times)
    {
        private int _left = times;

        public Func<HttpContext, Task> Answer => answer;

        public bool Takes(string withMethod, string withPath) =>
            withMethod == method && (path == "*" || path.Equals(withPath, StringComparison.OrdinalIgnoreCase)) && Interlocked.Decrement(ref _left) >= 0;
    }
}
