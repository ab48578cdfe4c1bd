using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Redfish.Session;
using Evacuator.Redfish.Tests.Fake;
using Evacuator.Testing;

namespace Evacuator.Redfish.Tests.Session;

public sealed class TrustTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private readonly TemporaryFolder _folder = new();
    private readonly X509Certificate2 _ca = MakeCa("CN=lab-ca");

    [Theory]
    [InlineData("9C:AB:01", null)]
    [InlineData("zz", null)]
    [InlineData("", null)]
    public void Normalise_WhatIsNoFingerprint_IsNull(string text, string? expected) => Assert.Equal(expected, Fingerprint.Normalise(text));

    [Fact]
    public void Normalise_UsualWritings_AreOne()
    {
        string hex = string.Concat(Enumerable.Repeat("0aF1", 16));
        string colons = string.Join(':', hex.Chunk(2).Select(c => new string(c)));
        string expected = colons.ToLowerInvariant();
        Assert.Equal(expected, Fingerprint.Normalise(hex));
        Assert.Equal(expected, Fingerprint.Normalise(colons.ToUpperInvariant()));
        Assert.Equal(expected, Fingerprint.Normalise($"sha256 Fingerprint={colons}"));
        Assert.Equal(expected, Fingerprint.Normalise($"SHA256:{hex}"));
    }

    [Fact]
    public void Problems_SeveralMistakes_AreAllReported()
    {
        BmcOptions options = new() { Url = new Uri("https://user:secret@10.0.0.5"), Fingerprint = "12", User = "x", MaxConcurrency = 9, MaxBodyBytes = 1 };
        IReadOnlyList<string> problems = options.Problems();
        Assert.Equal(5, problems.Count);
        Assert.DoesNotContain(problems, p => p.Contains("secret", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Ca_SignedForTheAddress_IsAccepted()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync(certificate: Issue(_ca, san => san.AddIpAddress(IPAddress.Loopback)));
        await using BmcClient client = Client(bmc, _ca);
        BmcReply reply = await client.ConnectAsync(None);
        Assert.True(reply.Succeeded, reply.Message);
    }

    [Fact]
    public async Task Ca_SignedForAnotherName_IsRefused()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync(certificate: Issue(_ca, san => san.AddDnsName("other-bmc.example")));
        await using BmcClient client = Client(bmc, _ca);
        Assert.Equal(BmcError.CertificateUntrusted, (await client.ConnectAsync(None)).Error);
        Assert.Empty(bmc.Requests);
    }

    [Fact]
    public async Task Ca_SignedByAnother_IsRefused()
    {
        using X509Certificate2 other = MakeCa("CN=lab-ca");
        await using FakeBmc bmc = await FakeBmc.StartAsync(certificate: Issue(other, san => san.AddIpAddress(IPAddress.Loopback)));
        await using BmcClient client = Client(bmc, _ca);
        Assert.Equal(BmcError.CertificateUntrusted, (await client.ConnectAsync(None)).Error);
        Assert.Empty(bmc.Requests);
    }

    [Fact]
    public async Task Ca_FileMissing_SaysSoAndSendsNothing()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        await using BmcClient client = bmc.Client(change: o => o with { Fingerprint = null, CaFile = Path.Combine(_folder.Path, "none.pem") });
        BmcReply reply = await client.ConnectAsync(None);
        Assert.Equal(BmcError.NoTrust, reply.Error);
        Assert.Contains("none.pem", reply.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task PlainHttp_OnLoopback_Works()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync(plain: true);
        await using BmcClient client = bmc.Client(change: o => o with { Fingerprint = null });
        BmcReply reply = await client.GetAsync(FakeBmc.SystemUri, None);
        Assert.True(reply.Succeeded, reply.Message);
    }

    [Theory]
    [InlineData("http://10.11.12.13", false, "https://10.11.12.13/")]
    [InlineData("http://10.11.12.13:8000/redfish", false, "https://10.11.12.13:8000/")]
    [InlineData("http://10.11.12.13", true, "http://10.11.12.13/")]
    [InlineData("https://10.11.12.13/redfish/v1", false, "https://10.11.12.13/")]
    public void PlainHttp_Elsewhere_BecomesTlsUnlessAllowed(string url, bool allow, string origin)
    {
        using BmcTransport transport = new(new BmcOptions { Url = new Uri(url), AllowPlainHttp = allow }, TimeProvider.System);
        Assert.Equal(origin, transport.Origin.ToString());
    }

    [Fact]
    public async Task PlainHttp_RedirectedToTlsWithoutTrust_IsRefusedBeforeAnyPassword()
    {
        await using FakeBmc secure = await FakeBmc.StartAsync();
        await using FakeBmc plain = await FakeBmc.StartAsync(plain: true);
        plain.AddFault("GET", "/redfish/v1", 301, times: 100, headers: ("Location", new Uri(secure.Url, "/redfish/v1/").ToString()));
        await using BmcClient client = plain.Client(change: o => o with { Fingerprint = null });
        Assert.Equal(BmcError.NoTrust, (await client.ConnectAsync(None)).Error);
        Assert.Empty(secure.Requests);
        Assert.DoesNotContain(plain.Requests, r => r.StartsWith("POST", StringComparison.Ordinal));
    }

    [Fact]
    public async Task PlainHttp_RedirectedToTlsWithAPin_GoesOnThere()
    {
        await using FakeBmc secure = await FakeBmc.StartAsync();
        await using FakeBmc plain = await FakeBmc.StartAsync(plain: true);
        plain.AddFault("GET", "/redfish/v1", 301, times: 100, headers: ("Location", new Uri(secure.Url, "/redfish/v1/").ToString()));
        await using (BmcClient client = plain.Client(change: o => o with { Fingerprint = secure.Fingerprint }))
            Assert.True((await client.ConnectAsync(None)).Succeeded);
        Assert.DoesNotContain(plain.Requests, r => r.StartsWith("POST", StringComparison.Ordinal));
        Assert.Equal(1, secure.Logins);
        Assert.Empty(secure.Sessions);
    }

    public void Dispose()
    {
        _ca.Dispose();
        _folder.Dispose();
    }

    private BmcClient Client(FakeBmc bmc, X509Certificate2 ca)
    {
        string file = Path.Combine(_folder.Path, "ca.pem");
        File.WriteAllText(file, ca.ExportCertificatePem());
        return bmc.Client(change: o => o with { Fingerprint = null, CaFile = file });
    }

    private static X509Certificate2 MakeCa(string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new(name, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, true));
        using X509Certificate2 made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-2), DateTimeOffset.UtcNow.AddDays(30));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null, X509KeyStorageFlags.Exportable);
    }

    private static X509Certificate2 Issue(X509Certificate2 ca, Action<SubjectAlternativeNameBuilder> names)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=bmc", key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder san = new();
        names(san);
        request.CertificateExtensions.Add(san.Build());
        using X509Certificate2 issued = request.Create(ca, DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(10), RandomNumberGenerator.GetBytes(8));
        using X509Certificate2 whole = issued.CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(whole.Export(X509ContentType.Pfx), null);
    }
}
