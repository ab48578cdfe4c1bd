using System.Net.Sockets;
using System.Text;
using Evacuator.Common.Configuration;
using Evacuator.Common.Hosting;
using Evacuator.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Common.Tests.Hosting;

public sealed class ServiceHostingTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly Socket _systemd = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
    private readonly string _notifyName = $"evacuator-test-{Guid.NewGuid():N}";

    public ServiceHostingTests() => _systemd.Bind(new UnixDomainSocketEndPoint('\0' + _notifyName));

    public void Dispose()
    {
        _systemd.Dispose();
        _folder.Dispose();
    }

    private string SocketPath => Path.Combine(_folder.Path, "s.sock");

    [Fact]
    public async Task RunServiceAsync_AskedToStop_ReadyWhenItListensThenStoppingThenSuccess()
    {
        WebApplication app = Build(services => { });
        Task<int> running = app.RunServiceAsync("ready for it");

        Assert.Equal("READY=1\nSTATUS=ready for it", await Receive());
        using (Socket caller = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
            await caller.ConnectAsync(new UnixDomainSocketEndPoint(SocketPath));
        app.Lifetime.StopApplication();

        Assert.Equal("STOPPING=1", await Receive());
        Assert.Equal(ExitCodes.Success, await running);
    }

    [Fact]
    public async Task RunServiceAsync_ALoopDies_StopsWithFailure()
    {
        WebApplication app = Build(services => services.AddHostedService<DyingLoop>());

        Assert.Equal(ExitCodes.Failure, await app.RunServiceAsync("ready"));
    }

    [Fact]
    public async Task RunServiceAsync_SocketTaken_FailsWithoutReady()
    {
        using Socket other = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        other.Bind(new UnixDomainSocketEndPoint(SocketPath));
        other.Listen();

        Assert.Equal(ExitCodes.Failure, await Build(services => { }).RunServiceAsync("ready"));
        Assert.Equal(0, _systemd.Available);
    }

    [Fact]
    public async Task AddHeartbeat_OfALoop_IsWhatTheWatchdogAsks()
    {
        await using WebApplication app = Build(services => services.AddHeartbeat<DyingLoop>(TimeSpan.FromSeconds(1)));

        Assert.Same(app.Services.GetRequiredService<Heartbeat<DyingLoop>>(), Assert.Single(app.Services.GetServices<IProgressCheck>()));
    }

    /// <summary>A service's working directory is the root of the file system.</summary>
    [Fact]
    public void CreateBuilder_InAnyDirectory_ReadsNoSettingsThereAndWatchesNone()
    {
        WebApplicationBuilder builder = ServiceHosting.CreateBuilder();

        Assert.Equal(AppContext.BaseDirectory, builder.Environment.ContentRootPath);
        Assert.DoesNotContain(((IConfigurationBuilder)builder.Configuration).Sources, source => source is FileConfigurationSource { ReloadOnChange: true });
    }

    private WebApplication Build(Action<IServiceCollection> more)
    {
        WebApplicationBuilder builder = ServiceHosting.CreateBuilder();
        builder.AddServiceHosting(new EvacuatorOptions());
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton(new SystemdNotify('@' + _notifyName));
        builder.WebHost.ListenOnUnixSocket(SocketPath, new UnixSocketAccess());
        more(builder.Services);
        return builder.Build();
    }

    private async Task<string> Receive()
    {
        byte[] buffer = new byte[256];
        return Encoding.UTF8.GetString(buffer, 0, await _systemd.ReceiveAsync(buffer));
    }

    private sealed class DyingLoop : BackgroundService
    {
        protected override async Task ExecuteAsync(CancellationToken stoppingToken)
        {
            await Task.Yield();
            throw new InvalidOperationException("dies");
        }
    }
}
