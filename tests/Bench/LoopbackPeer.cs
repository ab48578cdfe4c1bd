using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.NodeAgent.Hosting;
using Evacuator.NodeAgent.Transfer;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Evacuator.Bench;

/// <summary>The way memory takes from agent to agent, on loopback: the agent's client on one side, a listener made like the agent's on the other; only the fleet's certificates are missing.</summary>
internal sealed class LoopbackPeer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly X509Certificate2 _certificate;

    private LoopbackPeer(WebApplication app, X509Certificate2 certificate, TaskCompletionSource received, Func<Stream, Stream>? beneath)
    {
        (_app, _certificate, Received) = (app, certificate, received.Task);
        Client = new PeerClient("127.0.0.1", new Uri(app.Urls.First()).Port, new SocketsHttpHandler
        {
            SslOptions = new SslClientAuthenticationOptions
            {
                TargetHost = "bench", EnabledSslProtocols = SslProtocols.Tls13, RemoteCertificateValidationCallback = (_, presented, _, _) => certificate.Equals(presented),
            },
            ConnectCallback = async (context, cancel) =>
            {
                Stream stream = await PeerConnection.OpenAsync(context.DnsEndPoint, PeerConnection.Patience, cancel);
                return beneath?.Invoke(stream) ?? stream;
            },
        }, Guid.NewGuid(), "token", "bench");
    }

    public PeerClient Client { get; }

    /// <summary>Ends with what took the connection.</summary>
    public Task Received { get; }

    /// <param name="receive">takes one connection for memory</param>
    /// <param name="beneath">put around the client's sockets, beneath TLS</param>
    public static async Task<LoopbackPeer> StartAsync(Func<Stream, Task> receive, Func<Stream, Stream>? beneath = null)
    {
        X509Certificate2 certificate = MakeCertificate();
        TaskCompletionSource received = new();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>>(new LargeBlocks());
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(new TlsHandshakeCallbackOptions
        {
            OnConnection = _ => ValueTask.FromResult(new SslServerAuthenticationOptions { ServerCertificate = certificate, EnabledSslProtocols = SslProtocols.Tls13 }),
        })));
        WebApplication app = builder.Build();
        app.MapGet("/v1/moves/{id:guid}/pages", async (HttpContext context) =>
        {
            context.Response.Headers.Upgrade = PageFrame.Upgrade;
            await using Stream stream = await context.Features.GetRequiredFeature<IHttpUpgradeFeature>().UpgradeAsync();
            try
            {
                await receive(stream);
                received.SetResult();
            }
            catch (Exception e)
            {
                received.SetException(e);
            }
        });
        await app.StartAsync();
        return new LoopbackPeer(app, certificate, received, beneath);
    }

    public static X509Certificate2 MakeCertificate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 made = new CertificateRequest("CN=bench", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
        // The TLS library wants a key that has been stored once.
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
        _certificate.Dispose();
    }
}
