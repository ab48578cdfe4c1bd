using System.Net;
using System.Net.Security;
using System.Net.Sockets;
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

namespace Evacuator.NodeAgent.Tests.Transfer;

/// <summary>An agent's client and a listener with an agent's buffers, with real TLS on loopback: each write arrives whole, without another one behind it.</summary>
public sealed class WholeWritesTests : IAsyncLifetime
{
    private const int Mebibyte = 1 << 20;
    private readonly X509Certificate2 _certificate = MakeCertificate();
    private readonly TaskCompletionSource _over = new();
    private readonly TaskCompletionSource<Stream> _upgraded = new();
    private readonly CountedSends _sends = new();
    private WebApplication _app = null!;
    private PeerClient _client = null!;

    public async Task InitializeAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>>(new LargeBlocks());
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(new TlsHandshakeCallbackOptions
        {
            OnConnection = _ => ValueTask.FromResult(new SslServerAuthenticationOptions { ServerCertificate = _certificate, EnabledSslProtocols = SslProtocols.Tls13 }),
        })));
        _app = builder.Build();
        _app.MapGet("/v1/moves/{id:guid}/pages", async (HttpContext context) =>
        {
            context.Response.Headers.Upgrade = PageFrame.Upgrade;
            _upgraded.SetResult(await context.Features.GetRequiredFeature<IHttpUpgradeFeature>().UpgradeAsync());
            await _over.Task;
        });
        await _app.StartAsync();
        SocketsHttpHandler handler = new()
        {
            SslOptions = new SslClientAuthenticationOptions { TargetHost = "peer", EnabledSslProtocols = SslProtocols.Tls13, RemoteCertificateValidationCallback = (_, shown, _, _) => _certificate.Equals(shown) },
            ConnectCallback = async (context, cancel) =>
            {
                Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                await socket.ConnectAsync(context.DnsEndPoint, cancel);
                _sends.Beneath = new NetworkStream(socket, ownsSocket: true);
                return _sends;
            },
        };
        _client = new PeerClient("127.0.0.1", new Uri(_app.Urls.First()).Port, handler, Guid.NewGuid(), "token", "c1");
    }

    public async Task DisposeAsync()
    {
        _over.TrySetResult();
        _client.Dispose();
        await _app.DisposeAsync();
        _certificate.Dispose();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(16 * 1024)]
    [InlineData(16 * 1024 + 1)]
    [InlineData(15 * 16 * 1024)] // Whole records only, less than is sent at once.
    [InlineData(Mebibyte)] // A batch of pages.
    [InlineData(3 * Mebibyte + 5)]
    public async Task Write_NothingElseFollows_ArrivesWhole(int bytes)
    {
        (Stream here, Stream there) = await ConnectAsync();
        byte[] sent = RandomNumberGenerator.GetBytes(bytes), got = new byte[bytes];

        Task reading = there.ReadExactlyAsync(got).AsTask();
        await here.WriteAsync(sent);
        await reading.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.Equal(sent, got);
    }

    [Fact]
    public async Task Write_OfABatch_IsAFewCallsOfTheKernel()
    {
        (Stream here, Stream there) = await ConnectAsync();
        byte[] got = new byte[Mebibyte];
        int before = _sends.Count;

        Task reading = there.ReadExactlyAsync(got).AsTask();
        await here.WriteAsync(new byte[Mebibyte]);
        await reading.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.InRange(_sends.Count - before, 1, 6);
    }

    [Fact]
    public async Task Write_ConnectionIsGone_FailsEachTime()
    {
        (Stream here, _) = await ConnectAsync();
        _sends.Beneath!.Dispose();

        for (int i = 0; i < 2; i++)
            await Assert.ThrowsAnyAsync<Exception>(() => here.WriteAsync(new byte[Mebibyte]).AsTask());
    }

    private static X509Certificate2 MakeCertificate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 made = new CertificateRequest("CN=peer", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
        // The TLS library wants a key that has been stored once.
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
    }

    private async Task<(Stream Here, Stream There)> ConnectAsync()
    {
        IReadOnlyList<Stream> lanes = await _client.OpenPagesAsync(1, CancellationToken.None);
        return (lanes[0], await _upgraded.Task);
    }

    /// <summary>Counts what goes into the kernel.</summary>
    private sealed class CountedSends : Stream
    {
        private int _count;

        public Stream? Beneath { get; set; }

        public int Count => Volatile.Read(ref _count);

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Interlocked.Increment(ref _count);
            return Beneath!.WriteAsync(buffer, cancellationToken);
        }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => Beneath!.ReadAsync(buffer, cancellationToken);

        public override Task FlushAsync(CancellationToken cancellationToken) => Beneath!.FlushAsync(cancellationToken);

        public override void Flush() => Beneath!.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                Beneath?.Dispose();
        }
    }
}
