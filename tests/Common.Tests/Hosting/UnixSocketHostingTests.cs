using System.Net.Sockets;
using Evacuator.Common.Hosting;
using Evacuator.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Evacuator.Common.Tests.Hosting;

public sealed class UnixSocketHostingTests : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly TemporaryFolder _folder = new();

    private string Path => System.IO.Path.Combine(_folder.Path, "s.sock");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Request_Permitted_KnowsItsCaller()
    {
        await using WebApplication app = await Start(new UnixSocketAccess { Mode = OwnerOnly | UnixFileMode.GroupRead | UnixFileMode.GroupWrite });

        Assert.Equal($"{Environment.ProcessId} {Interop.GetEffectiveUserId()} {Environment.UserName}", await Ask());
        Assert.Equal(OwnerOnly | UnixFileMode.GroupRead | UnixFileMode.GroupWrite, File.GetUnixFileMode(Path));
    }

    [Fact]
    public async Task Request_NotPermitted_GetsNoAnswer()
    {
        PeerCredentials? asked = null;
        await using WebApplication app = await Start(new UnixSocketAccess
        {
            WhyNot = caller =>
            {
                asked = caller;
                return "no";
            },
        });

        await Assert.ThrowsAsync<HttpRequestException>(Ask);
        Assert.Equal(Environment.ProcessId, asked!.Pid);
    }

    [Fact]
    public async Task Start_SocketOfAKilledProcess_IsReplaced()
    {
        // Disposing takes the file away; under another name it stays, as after kill -9.
        using (Socket dead = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            string elsewhere = Path + ".bound";
            dead.Bind(new UnixDomainSocketEndPoint(elsewhere));
            dead.Listen();
            File.Move(elsewhere, Path);
        }

        Assert.True(File.Exists(Path));
        await using WebApplication app = await Start(new UnixSocketAccess());

        Assert.NotEmpty(await Ask());
    }

    [Fact]
    public async Task Start_AnotherListens_FailsAndLeavesIt()
    {
        await using WebApplication first = await Start(new UnixSocketAccess());

        IOException error = await Assert.ThrowsAsync<IOException>(() => Start(new UnixSocketAccess()));

        Assert.Contains("another process listens", error.Message, StringComparison.Ordinal);
        Assert.NotEmpty(await Ask());
    }

    [Fact]
    public async Task Start_NoSuchGroup_IsSaid()
    {
        IOException error = await Assert.ThrowsAsync<IOException>(() => Start(new UnixSocketAccess { Group = "no-such-group" }));

        Assert.Contains("there is no group no-such-group", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void OnlyRootAnd_OthersAreRefusedByName()
    {
        Func<PeerCredentials, string?> whyNot = UnixSocketAccess.OnlyRootAnd("daemon", "no-such-user");

        Assert.Null(whyNot(new PeerCredentials(1, 0, 0)));
        Assert.Null(whyNot(new PeerCredentials(1, Accounts.UserId("daemon")!.Value, 0)));
        Assert.Equal("user bin may not use this socket", whyNot(new PeerCredentials(1, Accounts.UserId("bin")!.Value, 0)));
        Assert.Equal("user 4000000000 may not use this socket", whyNot(new PeerCredentials(1, 4000000000, 0)));
    }

    [Fact]
    public void Accounts_AgreeWithTheHostsFiles()
    {
        Assert.Equal(0u, Accounts.UserId("root"));
        Assert.Equal("root", Accounts.UserName(0));
        Assert.Null(Accounts.UserId("no-such-user"));
        foreach (string[] fields in File.ReadLines("/etc/group").Select(line => line.Split(':')))
            Assert.Equal(uint.Parse(fields[2]), Accounts.GroupId(fields[0]));
    }

    private async Task<WebApplication> Start(UnixSocketAccess access)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ListenOnUnixSocket(Path, access);
        WebApplication app = builder.Build();
        app.MapGet("/", (HttpContext context) => context.PeerCredentials() is { } caller ? $"{caller.Pid} {caller.Uid} {caller.UserName}" : "nobody");
        try
        {
            await app.StartAsync();
        }
        catch
        {
            await app.DisposeAsync();
            throw;
        }

        return app;
    }

    private async Task<string> Ask()
    {
        using HttpClient client = new(new SocketsHttpHandler
        {
            ConnectCallback = async (_, cancel) =>
            {
                Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path), cancel);
                return new NetworkStream(socket, ownsSocket: true);
            },
        });
        return await client.GetStringAsync("http://localhost/");
    }
}
