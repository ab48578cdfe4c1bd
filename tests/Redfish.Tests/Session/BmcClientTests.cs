using System.Text.Json.Nodes;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Session;
using Evacuator.Redfish.Tests.Fake;
using Evacuator.Testing;
using Microsoft.AspNetCore.Http;

namespace Evacuator.Redfish.Tests.Session;

public sealed class BmcClientTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task Connect_PinnedCertificate_OpensOneSessionAndDeletesItOnDispose()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        await using (BmcClient client = bmc.Client())
        {
            BmcReply root = await client.ConnectAsync(None);
            Assert.True(root.Succeeded, root.Message);
            Assert.True((await client.ReadAsync(FakeBmc.SystemUri, None)).IsFound);
            Assert.True((await client.ReadAsync(FakeBmc.ChassisUri, None)).IsFound);
            Assert.Equal(1, bmc.Logins);
            Assert.Equal("session", client.AuthenticationMode);
            Assert.Equal(bmc.Requests.Count, client.RequestCount);
        }
        Assert.Empty(bmc.Sessions);
    }

    [Fact]
    public async Task Connect_NoTrustConfigured_RefusesWithoutConnecting()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        await using BmcClient client = bmc.Client(change: o => o with { Fingerprint = null });
        BmcReply reply = await client.ConnectAsync(None);
        Assert.Equal(BmcError.NoTrust, reply.Error);
        Assert.Contains("evacuator bmc trust", reply.Message, StringComparison.Ordinal);
        Assert.Empty(bmc.Requests);
    }

    [Fact]
    public async Task Connect_OtherCertificate_RefusedWithBothFingerprints()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        string other = string.Join(':', Enumerable.Repeat("ab", 32));
        await using BmcClient client = bmc.Client(change: o => o with { Fingerprint = other.ToUpperInvariant() });
        BmcReply reply = await client.ConnectAsync(None);
        Assert.Equal(BmcError.CertificateChanged, reply.Error);
        Assert.Equal((other, bmc.Fingerprint), reply.Certificates);
        Assert.Contains(other, reply.Message, StringComparison.Ordinal);
        Assert.Contains(bmc.Fingerprint, reply.Message, StringComparison.Ordinal);
        Assert.Equal(ReadOutcome.Refused, (await client.ReadAsync(FakeBmc.SystemUri, None)).Outcome);
        Assert.Empty(bmc.Requests);
    }

    [Fact]
    public async Task Certificate_ReplacedWhileRunning_IsRefusedAndNothingSent()
    {
        FakeBmc first = await FakeBmc.StartAsync();
        await using BmcClient client = first.Client();
        Assert.True((await client.ConnectAsync(None)).Succeeded);
        Uri url = first.Url;
        await first.DisposeAsync();
        await using FakeBmc second = await FakeBmc.StartAsync(url);
        BmcReply reply = await client.GetAsync(FakeBmc.SystemUri, None);
        Assert.Equal(BmcError.CertificateChanged, reply.Error);
        Assert.Empty(second.Requests);
    }

    [Fact]
    public async Task Fetch_ShowsTheFingerprintAndSendsNothing()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        (BmcCertificate? certificate, BmcError error, string message) = await BmcCertificate.FetchAsync(bmc.Url, TimeSpan.FromSeconds(30), TimeProvider.System, None);
        Assert.Equal(BmcError.None, error);
        Assert.Equal("", message);
        Assert.Equal(bmc.Fingerprint, certificate!.Fingerprint);
        Assert.Equal("CN=fake-bmc", certificate.Subject);
        Assert.Empty(bmc.Requests);
    }

    [Fact]
    public async Task Token_ForgottenByTheBmc_LogsInOnceAndReplays()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        await using (BmcClient client = bmc.Client())
        {
            await client.ConnectAsync(None);
            bmc.Sessions.Clear();
            Assert.True((await client.ReadAsync(FakeBmc.SystemUri, None)).IsFound);
            Assert.Equal(2, bmc.Logins);
        }
        Assert.Empty(bmc.Sessions);
    }

    [Fact]
    public async Task Token_RefusedForOneResource_DoesNotLoopNorLeak()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("GET", FakeBmc.SystemUri, 401, times: 1000);
        await using (BmcClient client = bmc.Client())
        {
            await client.ConnectAsync(None);
            for (int i = 0; i < 5; i++)
                Assert.Equal(ReadOutcome.Unauthorized, (await client.ReadAsync(FakeBmc.SystemUri, None)).Outcome);
            // The first refusal is worth one new login; a fresh session refused is not.
            Assert.Equal(2, bmc.Logins);
            Assert.Single(bmc.Sessions);
        }
        Assert.Empty(bmc.Sessions);
    }

    [Fact]
    public async Task Password_Wrong_IsTriedOnceThenHeldOff()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        ManualTime time = new();
        string password = "wrong";
        await using BmcClient client = bmc.Client(time, o => o with { Password = _ => ValueTask.FromResult(password) });
        for (int i = 0; i < 10; i++)
            Assert.Equal(BmcError.CredentialsRefused, (await client.GetAsync(FakeBmc.SystemUri, None)).Error);
        Assert.Equal(1, bmc.CountOf($"POST {FakeBmc.SessionsUri}"));

        time.Advance(TimeSpan.FromMinutes(6));
        for (int i = 0; i < 10; i++)
            Assert.Equal(BmcError.CredentialsRefused, (await client.GetAsync(FakeBmc.SystemUri, None)).Error);
        Assert.Equal(2, bmc.CountOf($"POST {FakeBmc.SessionsUri}"));

        // Another client of this process knows it too.
        await using (BmcClient other = bmc.Client(time, o => o with { Password = _ => ValueTask.FromResult(password) }))
            Assert.Equal(BmcError.CredentialsRefused, (await other.ConnectAsync(None)).Error);
        Assert.Equal(2, bmc.CountOf($"POST {FakeBmc.SessionsUri}"));

        password = FakeBmc.Password;
        Assert.True((await client.GetAsync(FakeBmc.SystemUri, None)).Succeeded);
    }

    [Fact]
    public async Task Login_TwoHundredWithoutToken_IsARefusal()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("POST", FakeBmc.SessionsUri, 200, body: "{}");
        await using BmcClient client = bmc.Client();
        BmcReply reply = await client.ConnectAsync(None);
        Assert.Equal(BmcError.CredentialsRefused, reply.Error);
        Assert.Contains(FakeBmc.User, reply.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Login_AnswerCutOffBehindTheHeaders_KeepsAndDeletesTheSession()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("POST", FakeBmc.SessionsUri, async context =>
        {
            bmc.OpenSession(context);
            context.Response.StatusCode = 201;
            context.Response.ContentLength = 500;
            await context.Response.Body.WriteAsync("{\"@odata"u8.ToArray());
            await context.Response.Body.FlushAsync();
            // The rest never comes. (Closing here could discard what was sent before it was read.)
            await Task.Delay(-1, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
        });
        await using (BmcClient client = bmc.Client(change: o => o with { Timeouts = o.Timeouts with { Request = TimeSpan.FromSeconds(5) } }))
            Assert.True((await client.ConnectAsync(None)).Succeeded);
        Assert.Equal(1, bmc.Logins);
        Assert.Empty(bmc.Sessions);
    }

    [Fact]
    public async Task Login_NoLocation_LogsOutThroughTheBody()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.SendLocation = false;
        await using (BmcClient client = bmc.Client())
            Assert.True((await client.ConnectAsync(None)).Succeeded);
        Assert.Empty(bmc.Sessions);
    }

    [Fact]
    public async Task Login_SessionTableFull_IsSaidAndNotRepeated()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.MaxSessions = 0;
        await using BmcClient client = bmc.Client();
        BmcReply reply = await client.GetAsync(FakeBmc.SystemUri, None);
        Assert.Equal(BmcError.SessionTableFull, reply.Error);
        Assert.Equal(1, bmc.CountOf($"POST {FakeBmc.SessionsUri}"));
        Assert.Equal(ReadOutcome.Unauthorized, (await client.ReadAsync(FakeBmc.SystemUri, None)).Outcome);
    }

    [Fact]
    public async Task Login_PasswordChangeRequired_IsReportedAndLeaksNothing()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("POST", FakeBmc.SessionsUri, async context =>
        {
            bmc.OpenSession(context);
            await FakeBmc.WriteAsync(context, 201, """{"@Message.ExtendedInfo":[{"MessageId":"Base.1.8.PasswordChangeRequired","Message":"change it"}]}""");
        }, times: 100);
        await using BmcClient client = bmc.Client();
        Assert.Equal(BmcError.PasswordChangeRequired, (await client.ConnectAsync(None)).Error);
        Assert.Equal(BmcError.PasswordChangeRequired, (await client.ConnectAsync(None)).Error);
        Assert.Equal(1, bmc.Logins);
        Assert.Empty(bmc.Sessions);
    }

    [Fact]
    public async Task Login_UriOfTheRootMissing_FallsBackToTheOldOne()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("POST", FakeBmc.SessionsUri, 405, times: 100);
        bmc.AddFault("POST", "/redfish/v1/Sessions", async context =>
        {
            bmc.OpenSession(context);
            await FakeBmc.WriteAsync(context, 201, null);
        });
        await using (BmcClient client = bmc.Client())
        {
            Assert.True((await client.GetAsync(FakeBmc.SystemUri, None)).Succeeded);
            Assert.Equal("session", client.AuthenticationMode);
        }
        Assert.Empty(bmc.Sessions);
    }

    [Fact]
    public async Task Login_NoSessionsAnywhere_UsesBasic()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("POST", FakeBmc.SessionsUri, 404, times: 100);
        await using BmcClient client = bmc.Client();
        Assert.True((await client.GetAsync(FakeBmc.SystemUri, None)).Succeeded);
        Assert.Equal("basic", client.AuthenticationMode);
    }

    [Fact]
    public async Task Basic_PasswordWrong_IsTriedOnceThenHeldOff()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("POST", FakeBmc.SessionsUri, 404, times: 100);
        await using BmcClient client = bmc.Client(change: o => o with { Password = _ => ValueTask.FromResult("wrong") });
        for (int i = 0; i < 10; i++)
            Assert.Equal(BmcError.CredentialsRefused, (await client.GetAsync(FakeBmc.SystemUri, None)).Error);
        Assert.Equal(1, bmc.CountOf($"GET {FakeBmc.SystemUri}"));
    }

    [Fact]
    public async Task Session_LeftByACrash_IsDeletedAtTheNextStart()
    {
        using TemporaryFolder folder = new();
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        // The crash: what a dead client leaves behind is its file, unlocked, and its session.
        BmcClient crashed = bmc.Client(change: o => o with { StateFolder = folder.Path });
        await crashed.ConnectAsync(None);
        string file = Assert.Single(Directory.GetFiles(folder.Path));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        crashed.AbandonForTest();
        Assert.DoesNotContain("token", await File.ReadAllTextAsync(file), StringComparison.Ordinal);

        await using (BmcClient next = bmc.Client(change: o => o with { StateFolder = folder.Path }))
        {
            Assert.True((await next.ConnectAsync(None)).Succeeded);
            Assert.Equal([$"{FakeBmc.SessionsUri}/2"], bmc.Sessions.Keys);
        }
        Assert.Empty(bmc.Sessions);
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public async Task Session_LeftByACrashFillsTheTable_IsDeletedToMakeRoom()
    {
        using TemporaryFolder folder = new();
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.MaxSessions = 1;
        BmcClient crashed = bmc.Client(change: o => o with { StateFolder = folder.Path });
        await crashed.ConnectAsync(None);
        crashed.AbandonForTest();
        await using BmcClient next = bmc.Client(change: o => o with { StateFolder = folder.Path });
        Assert.True((await next.ConnectAsync(None)).Succeeded);
    }

    [Fact]
    public async Task Session_TwoClientsOfOneBmc_DoNotDeleteEachOthers()
    {
        using TemporaryFolder folder = new();
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        await using BmcClient one = bmc.Client(change: o => o with { StateFolder = folder.Path });
        await one.ConnectAsync(None);
        await using (BmcClient two = bmc.Client(change: o => o with { StateFolder = folder.Path }))
        {
            await two.ConnectAsync(None);
            Assert.Equal(2, bmc.Sessions.Count);
        }
        Assert.Single(bmc.Sessions);
        Assert.True((await one.GetAsync(FakeBmc.SystemUri, None)).Succeeded);
        Assert.Equal(2, bmc.Logins);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("0")]
    public async Task Read_Overloaded_IsRepeatedThenAnswered(string? retryAfter)
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        (string, string)[] headers = retryAfter is null ? [] : [("Retry-After", retryAfter)];
        bmc.AddFault("GET", FakeBmc.SystemUri, 503, times: 2, headers: headers);
        await using BmcClient client = bmc.Client();
        Assert.True((await client.ReadAsync(FakeBmc.SystemUri, None)).IsFound);
        Assert.Equal(3, bmc.CountOf($"GET {FakeBmc.SystemUri}"));
    }

    [Fact]
    public async Task Read_RetryAfter_IsWaitedFor()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("GET", FakeBmc.SystemUri, 503, times: 1, headers: ("Retry-After", "7"));
        ManualTime time = new();
        DateTimeOffset start = time.GetUtcNow();
        await using BmcClient client = bmc.Client(time);
        await using (time.PassWaits(TimeSpan.FromSeconds(9)))
            Assert.True((await client.ReadAsync(FakeBmc.SystemUri, None)).IsFound);
        Assert.InRange((time.GetUtcNow() - start).TotalSeconds, 7, 9);
    }

    [Fact]
    public async Task Read_RetryAfterBeyondTheBound_GivesUpAtOnce()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("GET", FakeBmc.SystemUri, 503, times: 100, headers: ("Retry-After", "86400"));
        await using BmcClient client = bmc.Client();
        BmcReply reply = await client.GetAsync(FakeBmc.SystemUri, None);
        Assert.Equal(BmcError.Overloaded, reply.Error);
        Assert.Equal(TimeSpan.FromDays(1), reply.RetryAfter);
        Assert.Equal(1, bmc.CountOf($"GET {FakeBmc.SystemUri}"));
    }

    [Fact]
    public async Task Read_AlwaysOverloaded_EndsAfterTheAllowedAttempts()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("GET", FakeBmc.SystemUri, 503, times: 100);
        await using BmcClient client = bmc.Client();
        Assert.Equal(ReadOutcome.Unavailable, (await client.ReadAsync(FakeBmc.SystemUri, None)).Outcome);
        Assert.Equal(4, bmc.CountOf($"GET {FakeBmc.SystemUri}"));
    }

    [Fact]
    public async Task Read_Stalled_EndsByTimeLimit()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        using SemaphoreSlim arrived = new(0);
        bmc.AddFault("GET", FakeBmc.SystemUri, context =>
        {
            arrived.Release();
            return Task.Delay(-1, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
        }, times: 100);
        ManualTime time = new();
        await using BmcClient client = bmc.Client(time);
        Task<ReadResult> reading = client.ReadAsync(FakeBmc.SystemUri, None);
        await using (time.PassWaits(TimeSpan.FromSeconds(9)))
        {
            for (int i = 0; i < 2; i++)
            {
                await arrived.WaitAsync();
                time.Advance(TimeSpan.FromSeconds(61));
            }
            Assert.Equal(ReadOutcome.Timeout, (await reading).Outcome);
        }
        Assert.Equal(2, bmc.CountOf($"GET {FakeBmc.SystemUri}"));
    }

    [Fact]
    public async Task Read_HalfBody_IsRepeatedAndNeverTakenForWhole()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("GET", FakeBmc.SystemUri, HalfBodyAsync, times: 1);
        await using BmcClient client = bmc.Client();
        Assert.True((await client.ReadAsync(FakeBmc.SystemUri, None)).IsFound);

        bmc.AddFault("GET", FakeBmc.ChassisUri, HalfBodyAsync, times: 100);
        Assert.Equal(ReadOutcome.Unavailable, (await client.ReadAsync(FakeBmc.ChassisUri, None)).Outcome);
    }

    [Fact]
    public async Task Read_BodyCutInsideJson_IsMalformed()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("GET", FakeBmc.SystemUri, 200, times: 100, body: """{"@odata.id":"/redfish/v1/Systems/1","PowerState":"O""");
        await using BmcClient client = bmc.Client();
        Assert.Equal(ReadOutcome.Malformed, (await client.ReadAsync(FakeBmc.SystemUri, None)).Outcome);
        Assert.Equal(2, bmc.CountOf($"GET {FakeBmc.SystemUri}"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Read_BodyBeyondTheLimit_IsTooLarge(bool announced)
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("GET", FakeBmc.SystemUri, async context =>
        {
            if (announced)
                context.Response.ContentLength = 1 << 20;
            for (int i = 0; i < 16; i++)
                await context.Response.Body.WriteAsync(new byte[1 << 16]);
        });
        await using BmcClient client = bmc.Client(change: o => o with { MaxBodyBytes = 64 * 1024 });
        Assert.Equal(ReadOutcome.TooLarge, (await client.ReadAsync(FakeBmc.SystemUri, None)).Outcome);
        Assert.Equal(1, bmc.CountOf($"GET {FakeBmc.SystemUri}"));
    }

    [Fact]
    public async Task Read_RedirectToAnotherHost_IsNotFollowed()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        await using FakeBmc thief = await FakeBmc.StartAsync();
        bmc.AddFault("GET", FakeBmc.SystemUri, 302, headers: ("Location", new Uri(thief.Url, FakeBmc.SystemUri).ToString()));
        await using BmcClient client = bmc.Client();
        BmcReply reply = await client.GetAsync(FakeBmc.SystemUri, None);
        Assert.Equal(BmcError.RedirectedElsewhere, reply.Error);
        Assert.Empty(thief.Requests);
    }

    [Fact]
    public async Task Read_RedirectToTheSlash_IsFollowed()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("GET", FakeBmc.SystemUri, 301, headers: ("Location", FakeBmc.SystemUri + "/"));
        await using BmcClient client = bmc.Client();
        Assert.True((await client.ReadAsync(FakeBmc.SystemUri, None)).IsFound);
    }

    [Fact]
    public async Task Read_RedirectLoop_Ends()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("GET", FakeBmc.SystemUri, 302, times: 1000, headers: ("Location", FakeBmc.SystemUri));
        await using BmcClient client = bmc.Client();
        Assert.Equal(BmcError.RedirectedElsewhere, (await client.GetAsync(FakeBmc.SystemUri, None)).Error);
        Assert.Equal(4, bmc.CountOf($"GET {FakeBmc.SystemUri}"));
    }

    [Theory]
    [InlineData("https://elsewhere.example/redfish/v1/Systems/1")]
    [InlineData("//elsewhere.example/redfish/v1/Systems/1")]
    [InlineData("http://10.0.0.1:8080/redfish/v1/Systems/1#/Fans/0")]
    public async Task Read_LinkNamingAnotherHost_StaysOnTheBmc(string uri)
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        await using BmcClient client = bmc.Client();
        Assert.True((await client.ReadAsync(uri, None)).IsFound);
        Assert.Equal(1, bmc.CountOf($"GET {FakeBmc.SystemUri}"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("javascript:alert(1)")]
    [InlineData("/redfish/v1/\r\nX-Evil: 1")]
    [InlineData("\\\\elsewhere\\share")]
    public async Task Read_WhatIsNoUri_IsRefusedUnsent(string uri)
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        await using BmcClient client = bmc.Client();
        Assert.False((await client.ReadAsync(uri, None)).IsFound);
        Assert.DoesNotContain(bmc.Requests, r => r.StartsWith("GET", StringComparison.Ordinal) && r != "GET /redfish/v1");
    }

    [Fact]
    public async Task Reads_ManyAtOnce_OneAtATime()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        await using BmcClient client = bmc.Client();
        await Task.WhenAll(Enumerable.Range(0, 40).Select(_ => client.ReadAsync(FakeBmc.SystemUri, None)));
        Assert.Equal(1, bmc.MostUnderWay);
        Assert.Equal(1, bmc.Logins);
    }

    [Fact]
    public async Task Post_Overloaded_IsNotRepeated()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        bmc.AddFault("POST", "/redfish/v1/Act", 503, times: 10);
        await using BmcClient client = bmc.Client();
        Assert.Equal(BmcError.Overloaded, (await client.PostAsync("/redfish/v1/Act", [], None)).Error);
        Assert.Equal(1, bmc.CountOf("POST /redfish/v1/Act"));
    }

    [Theory]
    [InlineData("W/\"a1\"", 0, "W/\"a1\"")]
    [InlineData("W/\"a1\"", 1, "W/\"a1\"|\"a1\"")]
    [InlineData("W/\"a1\"", 2, "W/\"a1\"|\"a1\"|")]
    [InlineData("\"s\"", 1, "\"s\"|\"s\"")]
    [InlineData("\"s\"", 2, "\"s\"|\"s\"|")]
    [InlineData(null, 0, "")]
    public async Task Patch_PreconditionRefused_TriesAsSentStrongNone(string? etag, int refusals, string expected)
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        if (etag is not null)
            bmc.Tree[FakeBmc.SystemUri]["@odata.etag"] = etag;
        List<string> sent = [];
        bmc.OnChange = async (context, _) =>
        {
            sent.Add(context.Request.Headers.IfMatch.ToString());
            if (sent.Count > refusals)
                return false;
            await FakeBmc.WriteAsync(context, 412, FakeBmc.Error("PreconditionFailed"));
            return true;
        };
        await using BmcClient client = bmc.Client();
        BmcReply reply = await client.PatchAsync(FakeBmc.SystemUri, new JsonObject { ["AssetTag"] = "x" }, None);
        Assert.True(reply.Succeeded, reply.Message);
        Assert.Equal(expected, string.Join('|', sent));
        Assert.Equal("x", bmc.Tree[FakeBmc.SystemUri]["AssetTag"]!.ToString());
    }

    [Fact]
    public async Task Dispose_WhileALoginIsUnderWay_LeavesNoSession()
    {
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        TaskCompletionSource entered = new(TaskCreationOptions.RunContinuationsAsynchronously);
        TaskCompletionSource go = new(TaskCreationOptions.RunContinuationsAsynchronously);
        bmc.AddFault("POST", FakeBmc.SessionsUri, async context =>
        {
            entered.SetResult();
            await go.Task;
            bmc.OpenSession(context);
            await FakeBmc.WriteAsync(context, 201, "{}");
        });
        BmcClient client = bmc.Client();
        using CancellationTokenSource caller = new();
        Task<BmcReply> connecting = client.ConnectAsync(caller.Token);
        await entered.Task;
        await caller.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => connecting);
        Task disposing = client.DisposeAsync().AsTask();
        go.SetResult();
        await disposing;
        Assert.Equal(1, bmc.Logins);
        Assert.Empty(bmc.Sessions);
    }

    [Fact]
    public async Task Connect_NothingListens_IsUnreachable()
    {
        Uri url;
        await using (FakeBmc bmc = await FakeBmc.StartAsync())
            url = bmc.Url;
        await using BmcClient client = new(new BmcOptions
        {
            Url = url,
            Fingerprint = new string('a', 64),
            Timeouts = new BmcTimeouts { RetryBase = TimeSpan.FromMilliseconds(1) },
        }, TimeProvider.System, new Random(1));
        BmcReply reply = await client.ConnectAsync(None);
        Assert.Equal(BmcError.Unreachable, reply.Error);
        Assert.Contains(url.Authority, reply.Message, StringComparison.Ordinal);
    }

    private static async Task HalfBodyAsync(HttpContext context)
    {
        context.Response.ContentLength = 1000;
        await context.Response.Body.WriteAsync("{\"PowerState\":\"Off\""u8.ToArray());
        await context.Response.Body.FlushAsync();
        context.Abort();
    }
}
