using Evacuator.Common.Configuration;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Common.Hosting;

/// <summary>What both services have in common: journal, systemd's notifications and watchdog, and an exit code that tells the truth.</summary>
public static class ServiceHosting
{
    /// <summary>
    /// A builder that watches no files. Left alone, the framework looks for settings of its own in the working directory, which of a service is the root of the file system, and
    /// watches every folder below it for changes: thousands of watches, and work for each file that anybody makes.
    /// </summary>
    public static WebApplicationBuilder CreateBuilder() => WebApplication.CreateSlimBuilder(new WebApplicationOptions
    {
        ContentRootPath = AppContext.BaseDirectory, Args = ["--hostBuilder:reloadConfigOnChange=false"],
    });

    /// <summary>
    /// Registers TimeProvider, SystemdNotify, journal logging and the watchdog. Loops whose life the watchdog depends on are registered as
    /// singletons of <see cref="IProgressCheck"/> (<see cref="AddHeartbeat"/>).
    /// </summary>
    public static WebApplicationBuilder AddServiceHosting(this WebApplicationBuilder builder, EvacuatorOptions options)
    {
        builder.Logging.AddJournal(options.Log);
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<SystemdNotify>();
        builder.Services.AddSingleton(options);
        builder.Services.AddHostedService<SystemdWatchdog>();
        return builder;
    }

    /// <summary>A heartbeat for one loop, to be resolved by <typeparamref name="TLoop"/> as Heartbeat&lt;TLoop&gt;.</summary>
    public static IServiceCollection AddHeartbeat<TLoop>(this IServiceCollection services, TimeSpan longest)
    {
        services.AddSingleton(provider => new Heartbeat<TLoop>(longest, provider.GetRequiredService<TimeProvider>()));
        return services.AddSingleton<IProgressCheck>(provider => provider.GetRequiredService<Heartbeat<TLoop>>());
    }

    /// <summary>
    /// Runs until the service is asked to stop. systemd hears READY once all sockets listen and all hosted services have started. Returns the exit code: a
    /// background loop that died, or a socket that could not be had, is a failure.
    /// </summary>
    public static async Task<int> RunServiceAsync(this WebApplication app, string readyStatus)
    {
        SystemdNotify notify = app.Services.GetRequiredService<SystemdNotify>();
        app.Lifetime.ApplicationStarted.Register(() => notify.Ready(readyStatus));
        app.Lifetime.ApplicationStopping.Register(() => notify.Stopping());
        IHostedService[] hosted = [.. app.Services.GetServices<IHostedService>()];
        try
        {
            await using (app)
            {
                await app.StartAsync();
                await app.WaitForShutdownAsync();
                // The host has logged the exception of a loop that died, and has stopped for it.
                return hosted.OfType<BackgroundService>().Any(service => service.ExecuteTask is { IsFaulted: true }) ? ExitCodes.Failure : ExitCodes.Success;
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // Start, stop or the disposal of a service. The logger may be gone by now, standard error is not.
            await Console.Error.WriteLineAsync($"{(JournalFormat.IsJournal ? "<2>" : "")}the service failed: {JournalFormat.OneLine(e.ToString())}");
            return ExitCodes.Failure;
        }
    }
}
