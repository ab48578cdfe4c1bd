using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Fleet.Etcd;
using Evacuator.Fleet.Membership;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.Logging;

namespace Evacuator.Tests.Fleet;

/// <summary>Which certificate etcd gets to see.</summary>
public sealed class EtcdTlsTests
{
    [Fact]
    public async Task Renewed_WhileAConnectionStands_TheNextConnectionShowsTheNewOne_AndHalfOfAPairIsNotTaken()
    {
        using TemporaryFolder folder = new();
        using X509Certificate2 authority = EtcdServer.MakeAuthority();
        ConcurrentQueue<string> shown = new();
        await using WebApplication server = await ServeAsync(authority, shown);
        int port = new Uri(server.Urls.Single()).Port;
        await File.WriteAllTextAsync(Path.Combine(folder.Path, "ca.crt"), authority.ExportCertificatePem());
        using X509Certificate2 first = Write(folder, Issue(authority, "first"), key: true);
        using EtcdTls tls = EtcdTls.Load(new FleetOptions { TlsDirectory = folder.Path }).Value!;
        using SocketsHttpHandler handler = tls.Handler();
        // As the connection is replaced in the service after a while.
        handler.PooledConnectionLifetime = TimeSpan.Zero;
        using EtcdClient client = new([$"https://127.0.0.1:{port}"], handler, TestLimits.Hang, TimeProvider.System);
        await AskAsync(client);
        await AskAsync(client);

        // Files are written one after the other, and somebody connects in between.
        using X509Certificate2 second = Write(folder, Issue(authority, "second"), key: false);
        await AskAsync(client);
        Write(folder, second, key: true);
        await AskAsync(client);
        await AskAsync(client);

        Assert.Equal([first.SerialNumber, first.SerialNumber, first.SerialNumber, second.SerialNumber, second.SerialNumber], shown);
    }

    [EtcdFact]
    public async Task Trial_OfANewAuthority_SaysWhatEtcdLacksForEachStep()
    {
        using TemporaryFolder folder = new();
        using FleetAuthority old = FleetAuthority.Create(TimeProvider.System), made = FleetAuthority.Create(TimeProvider.System);
        using X509Certificate2 own = made.IssueOwn(new PeerIdentity("node1", FleetRole.Brain), TimeSpan.FromDays(1));
        FleetAuthorities both = FleetAuthorities.FromPem(made.CertificatePem + old.CertificatePem, "both"), newest = FleetAuthorities.Of(made.Certificate);
        await using EtcdServer etcd = await EtcdServer.StartAsync(Path.Combine(folder.Path, "etcd"), old.Certificate);
        FleetOptions options = new() { TlsDirectory = folder.Path, Store = FleetStore.Etcd, EtcdEndpoints = [etcd.Endpoint] };

        // 1. It takes certificates of the old one only.
        Assert.Contains("--trusted-ca-file", Assert.Single(await TryAsync(both)).Text, StringComparison.Ordinal);

        // 2. It takes both, and its own is of the old one.
        await File.WriteAllTextAsync(etcd.CaFile, both.Pem);
        await etcd.KillAsync();
        await etcd.StartAsync();
        Assert.Empty(await TryAsync(both));
        Assert.Equal(AuthorityHold.DoesNotTrust, Assert.Single(await TryAsync(newest)).Hold);

        // 3. Its certificates have nothing to do with the fleet's.
        Assert.Empty(await EtcdTrial.RunAsync(options with { EtcdCa = etcd.CaFile, EtcdCertificate = etcd.ClientCertificateFile, EtcdKey = etcd.ClientKeyFile }, newest, own, TimeProvider.System, default));

        Task<IReadOnlyList<AuthorityObstacle>> TryAsync(FleetAuthorities trusted) => EtcdTrial.RunAsync(options, trusted, own, TimeProvider.System, default);
    }

    private static Task AskAsync(EtcdClient client) => client.RangeAsync(new EtcdRangeRequest { Key = "k"u8.ToArray() }, default);

    /// <summary>Answers like an etcd that has no keys, and notes who asks.</summary>
    private static async Task<WebApplication> ServeAsync(X509Certificate2 authority, ConcurrentQueue<string> shown)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        X509Certificate2 own = Issue(authority, "server");
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0, listen => listen.UseHttps(new HttpsConnectionAdapterOptions
        {
            ServerCertificate = own,
            ClientCertificateMode = ClientCertificateMode.RequireCertificate,
            ClientCertificateValidation = (_, _, _) => true,
        })));
        WebApplication app = builder.Build();
        app.MapPost("/v3/kv/range", (HttpContext context) =>
        {
            shown.Enqueue(context.Connection.ClientCertificate!.SerialNumber);
            return Results.Text("""{"header":{"cluster_id":"1","revision":"1"}}""", "application/json");
        });
        await app.StartAsync();
        return app;
    }

    private static X509Certificate2 Write(TemporaryFolder folder, X509Certificate2 certificate, bool key)
    {
        string path = Path.Combine(folder.Path, "brain.crt"), keyPath = Path.Combine(folder.Path, "brain.key");
        File.WriteAllText(path, certificate.ExportCertificatePem());
        if (key)
            File.WriteAllText(keyPath, certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());
        return certificate;
    }

    private static X509Certificate2 Issue(X509Certificate2 authority, string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new($"CN={name}", key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        names.AddIpAddress(System.Net.IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        using X509Certificate2 signed = request.Create(authority, now.AddMinutes(-10), now.AddHours(1), RandomNumberGenerator.GetBytes(12));
        using X509Certificate2 whole = signed.CopyWithPrivateKey(key);
        // Kestrel wants a key that is not bound to a disposed one.
        return X509CertificateLoader.LoadPkcs12(whole.Export(X509ContentType.Pkcs12), null, X509KeyStorageFlags.Exportable);
    }
}
