using System.Globalization;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.NodeAgent.Processes;

namespace Evacuator.NodeAgent.Containers;

internal sealed partial class RuncRuntime
{
    private static readonly TimeSpan DefaultGrace = TimeSpan.FromSeconds(10);

    /// <summary>What became of a container, asked of runc's state and the kernel.</summary>
    /// <returns>running, paused, created, stopped; null if there is none of that name</returns>
    public Task<string?> StateAsync(string name, CancellationToken cancel) =>
        Task.Run(() => IsName(name) && TryReadState(name) is { } state ? StateOf(state) : null, cancel);

    /// <summary>
    /// Ends its processes and keeps runc's state: first with its own stop signal (annotation org.opencontainers.image.stopSignal, else SIGTERM), and after the grace
    /// (annotation evacuator.stop-timeout, 10 s by default) with SIGKILL.
    /// </summary>
    /// <returns>whether it ended by itself within the grace</returns>
    /// <exception cref="ContainerException">something of it still runs</exception>
    public async Task<bool> StopAsync(ContainerDescription container, CancellationToken cancel)
    {
        string directory = _paths.CgroupDirectory(container.CgroupPath);
        string signal = container.Annotations.TryGetValue("org.opencontainers.image.stopSignal", out string? wanted) && wanted.All(char.IsAsciiLetterOrDigit) && wanted.Length is > 0 and < 12
            ? wanted : "SIGTERM";
        TimeSpan grace = container.Annotations.TryGetValue(Annotations.StopTimeout, out string? text) && Duration.TryParse(text.Trim(), out TimeSpan parsed)
            && parsed >= TimeSpan.Zero && parsed <= TimeSpan.FromHours(1) ? parsed : DefaultGrace;
        CommandResult asked = await Command.RunAsync("runc", ["--root", runcRoot, "kill", container.Name, signal], cancel);
        bool ended = await Task.Factory.StartNew(
            () => CgroupTree.WaitForEvent(directory, "populated", wanted: false, asked.Succeeded ? grace : TimeSpan.Zero, time, cancel) != false,
            cancel, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        cancel.ThrowIfCancellationRequested();
        if (!ended)
            await Task.Factory.StartNew(() => Kill(container.Name, container.CgroupPath, cancel), cancel, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        LogStopped(container.Name, signal, ended ? "ended by itself" : string.Create(CultureInfo.InvariantCulture, $"was killed after {grace.TotalSeconds:0.#} s"));
        return ended;
    }

    [Microsoft.Extensions.Logging.LoggerMessage(2102, Microsoft.Extensions.Logging.LogLevel.Warning, "container {Name} was stopped with {Signal} and {How}, to be started at another host")]
    private partial void LogStopped(string name, string signal, string how);
}
