using System.ComponentModel;
using Evacuator.NodeAgent.Processes;

namespace Evacuator.NodeAgent.Criu;

/// <summary>
/// A command in a systemd unit of its own, started early and held until it is told to go. Why a unit: a CRIU that dies in the middle leaves
/// sockets in repair mode, so it must outlive a killed agent, and a restored container must inherit nothing of the agent's sandbox. Why
/// early: starting a unit and a shell costs tens of milliseconds that do not belong into the freeze.
/// </summary>
/// <remarks>
/// Files in the directory: <c>go</c> a fifo the held shell reads; <c>armed</c> there while it waits; renamed to <c>started</c> by the shell
/// when it goes, or to <c>disarmed</c> by whoever calls it off: the rename decides, exactly one of them wins, also across a crash of the
/// agent. <c>output</c> what the command said, <c>status</c> its exit code.
/// </remarks>
internal sealed class ArmedCommand
{
    private const string Script =
        """
        cd "$1" || exit 125; shift
        : > armed
        read -r word < go || exit 124
        mv -T armed started || exit 123
        "$@" > output 2>&1 < /dev/null
        status=$?
        echo $status > status.new && mv -T status.new status
        exit $status
        """;

    private readonly string _unit;
    private readonly string _directory;
    private readonly TimeProvider _time;

    /// <summary>Ends with the unit; null if an earlier life of the agent has started it.</summary>
    private readonly Task<CommandResult>? _watcher;

    private ArmedCommand(string unit, string directory, TimeProvider time, Task<CommandResult>? watcher) =>
        (_unit, _directory, _time, _watcher) = (unit, directory, time, watcher);

    /// <summary>Starts the unit and waits until its shell is held.</summary>
    /// <param name="unit">name of the unit, without suffix</param>
    /// <param name="directory">an empty directory of its own</param>
    /// <exception cref="CommandException">systemd did not start it</exception>
    public static async Task<ArmedCommand> ArmAsync(
        string unit, string directory, IReadOnlyList<string> command, IReadOnlyDictionary<string, string> environment, TimeProvider time, CancellationToken cancel)
    {
        Directory.CreateDirectory(directory);
        await Command.RunCheckedAsync("mkfifo", ["-m", "600", Path.Combine(directory, "go")], cancel);
        List<string> arguments =
        [
            "--quiet", "--wait", "--collect", $"--unit={unit}", $"--description=Evacuator: {command[0]} for {Path.GetFileName(Path.GetDirectoryName(directory))}",
            "--property=Delegate=yes", "--property=LimitNOFILE=524288", "--property=KillMode=process", "--property=OOMScoreAdjust=-900", "--property=Nice=-15",
        ];
        foreach ((string name, string value) in environment)
            arguments.Add($"--setenv={name}={value}");
        arguments.AddRange(["--", "/bin/sh", "-c", Script, "sh", directory, .. command]);
        // Not cancelled with the caller: the unit goes on without its watcher, and only its own end tells how it went.
        Task<CommandResult> watcher = Command.RunAsync("systemd-run", arguments, CancellationToken.None);
        string armed = Path.Combine(directory, "armed");
        long start = time.GetTimestamp();
        while (!File.Exists(armed))
        {
            if (watcher.IsCompleted)
                throw new CommandException($"systemd-run could not start {unit}: {(await watcher).Tail()}");
            if (time.GetElapsedTime(start) > TimeSpan.FromSeconds(20))
                throw new CommandException($"unit {unit} did not come up within 20 s; see journalctl -u {unit}");
            await Task.Delay(TimeSpan.FromMilliseconds(5), time, cancel);
        }
        return new ArmedCommand(unit, directory, time, watcher);
    }

    /// <summary>Takes over one that an earlier life of the agent armed or let go.</summary>
    public static ArmedCommand Reattach(string unit, string directory, TimeProvider time) => new(unit, directory, time, watcher: null);

    /// <summary>Lets it go, if it has not gone yet, and waits for its end. Once gone it is not cancelled: half a dump or half a restore is worse
    /// than either end.</summary>
    public async Task<CommandResult> GoAsync()
    {
        if (File.Exists(Path.Combine(_directory, "armed")))
        {
            // Opening a fifo without a reader would hang: the shell is killed, or the unit gone.
            await using FileStream go = new(Path.Combine(_directory, "go"), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, 0);
            await go.WriteAsync("go\n"u8.ToArray());
            await go.FlushAsync();
            if (_watcher is not null)
                return await FinishAsync(await _watcher);
            return await FinishAsync(await WaitAsync());
        }
        return await FinishAsync(_watcher is not null ? await _watcher : await WaitAsync());
    }

    /// <summary>Calls it off if it has not gone yet.</summary>
    /// <returns>true if it never ran and never will; false if it has gone</returns>
    public static bool Disarm(string directory, string unit)
    {
        try
        {
            File.Move(Path.Combine(directory, "armed"), Path.Combine(directory, "disarmed"));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            // Never armed, already called off, or gone.
            return !File.Exists(Path.Combine(directory, "started"));
        }
        try
        {
            // The shell is held for ever otherwise. Nobody needs to wait for its end.
            using System.Diagnostics.Process? stop = System.Diagnostics.Process.Start("systemctl", ["stop", "--no-block", unit]);
        }
        catch (Win32Exception)
        {
            // No systemctl, no unit.
        }
        return true;
    }

    /// <summary>Ends it with all that it has started in its own unit: for one that can only hang.</summary>
    public Task KillAsync() => Command.RunAsync("systemctl", ["kill", "--signal=SIGKILL", "--kill-whom=all", _unit], CancellationToken.None);

    /// <summary>Waits for the end of one that has gone.</summary>
    public Task WaitForEndAsync() => WaitAsync();

    private async Task<CommandResult> WaitAsync()
    {
        string status = Path.Combine(_directory, "status");
        while (true)
        {
            if (File.Exists(status))
                return new CommandResult(int.Parse(await File.ReadAllTextAsync(status)), "", "");
            CommandResult active = await Command.RunAsync("systemctl", ["is-active", "--quiet", _unit], CancellationToken.None);
            if (!active.Succeeded && !File.Exists(status))
                return new CommandResult(137, "", $"unit {_unit} is gone without a result");
            await Task.Delay(TimeSpan.FromMilliseconds(50), _time);
        }
    }

    private async Task<CommandResult> FinishAsync(CommandResult unit)
    {
        string output = Path.Combine(_directory, "output");
        if (!File.Exists(output))
            return unit;
        string text = await File.ReadAllTextAsync(output);
        return unit with { Output = text.Length > 8192 ? text[^8192..] : text };
    }
}
