using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Evacuator.Redfish.Resources;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Evacuator.Tests.Fakes;

/// <summary>Serves bodies by path to everybody, as mock-up servers do: no login, no sessions; a POST is 405. Counts, and can hold what is asked until it is let go.</summary>
internal sealed class MockupServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly Func<string, byte[]?> _body;
    private int _underWay;
    private int _most;

    private MockupServer(WebApplication app, Func<string, byte[]?> body)
    {
        _app = app;
        _body = body;
    }

    public string Url { get; private set; } = "";

    /// <summary>"METHOD /path" and how often.</summary>
    public ConcurrentDictionary<string, int> Requests { get; } = new();

    /// <summary>Headers that carry a credential, if any request had one.</summary>
    public ConcurrentBag<string> Credentials { get; } = [];

    public int MostUnderWay => _most;

    /// <param name="folder">laid out as mock-ups are: URI/index.json</param>
    public static Task<MockupServer> StartAsync(string folder, bool tls = false) => StartAsync(path =>
    {
        string file = Path.Combine(folder, path.Trim('/'), "index.json");
        return File.Exists(file) ? File.ReadAllBytes(file) : null;
    }, tls);

    public static Task<MockupServer> StartAsync(IReadOnlyDictionary<string, string> tree, bool tls = false)
    {
        Dictionary<string, byte[]> bodies = tree.ToDictionary(pair => RedfishUri.Key(pair.Key), pair => Encoding.UTF8.GetBytes(pair.Value));
        return StartAsync(path => bodies.GetValueOrDefault(RedfishUri.Key(path)), tls);
    }

    private static async Task<MockupServer> StartAsync(Func<string, byte[]?> body, bool tls)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            if (tls)
                listen.UseHttps(SelfSigned());
        }));
        WebApplication app = builder.Build();
        MockupServer server = new(app, body);
        app.Run(server.AnswerAsync);
        await app.StartAsync();
        server.Url = app.Urls.First();
        return server;
    }

    private async Task AnswerAsync(HttpContext context)
    {
        string path = context.Request.Path.Value!;
        Requests.AddOrUpdate($"{context.Request.Method} {RedfishUri.Key(path)}{context.Request.QueryString}", 1, (_, count) => count + 1);
        foreach (string name in (string[])["Authorization", "X-Auth-Token"])
            if (context.Request.Headers.TryGetValue(name, out Microsoft.Extensions.Primitives.StringValues value))
                Credentials.Add($"{name}: {value}");
        int now = Interlocked.Increment(ref _underWay);
        InterlockedMax(now);
        try
        {
            byte[]? body = context.Request.Method == "GET" ? _body(path) : null;
            context.Response.StatusCode = body is not null ? 200 : context.Request.Method == "GET" ? 404 : 405;
            body ??= "{\"error\":{\"code\":\"Base.1.0.ResourceNotFound\"}}"u8.ToArray();
            context.Response.ContentType = "application/json";
            context.Response.ContentLength = body.Length;
            await context.Response.Body.WriteAsync(body);
        }
        finally
        {
            Interlocked.Decrement(ref _underWay);
        }
    }

    private void InterlockedMax(int now)
    {
        int seen = Volatile.Read(ref _most);
        while (now > seen && Interlocked.CompareExchange(ref _most, now, seen) is var before && before != seen)
            seen = before;
    }

    private static X509Certificate2 SelfSigned()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 made = new CertificateRequest("CN=mock-up", key, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(30));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null);
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();
}
