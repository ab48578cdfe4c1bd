using System.ComponentModel;
using Evacuator.NodeAgent.Processes;

namespace Evacuator.NodeAgent.Criu;

/// <summary>
/// A command in a systemd unit of its own, started early and held until it is told to go. Why a unit: a CRIU that dies in the middle leaves
/// sockets in repair mode, so it must outlive a killed agent, and a restored container must inherit nothing of the agent's sandbox. Why
/// early: starting a unit, a shell and runc costs tens of milliseconds that do not belong into the freeze.
/// </summary>
/// <remarks>
/// Who holds: the shell before it starts the command, or, later by all that runc does before it needs CRIU, the CRIU below it (native/criu-gate.c).
/// Files in the directory: <c>go</c> a fifo that the holder reads; <c>armed</c> there while it waits; renamed to <c>started</c> by the holder
/// when it goes, or to <c>disarmed</c> by whoever calls it off: the rename decides, exactly one of them wins, also across a crash of the
/// agent. <c>end</c> a fifo that gets the exit code at once, <c>status</c> the exit code for those who come later, <c>output</c> what the command
/// said, <c>inside</c> there if CRIU holds, <c>cancel</c> made by whoever wants a dump under way to fail.
/// </remarks>
internal sealed class ArmedCommand
{
    private const string HoldHere =
        """
        : > armed
        read -r word < go || exit 124
        mv -T armed started || exit 123

        """;

    // The fifo is open for reading too, so that writing to it never waits for a reader; the command does not inherit it. It comes last: whoever
    // hears of the end may remove the directory.
    private const string Run =
        """
        exec 9<>end
        "$@" > output 2>&1 < /dev/null 9>&-
        status=$?
        echo $status > status
        echo $status >&9
        exit $status
        """;

    private static readonly TimeSpan CallOffTime = TimeSpan.FromSeconds(15);

    private readonly string _unit;
    private readonly string _directory;
    private readonly TimeProvider _time;

    /// <summary>Ends with the unit; null if an earlier life of the agent has started it.</summary>
    private readonly Task<CommandResult>? _watcher;

    private ArmedCommand(string unit, string directory, TimeProvider time, Task<CommandResult>? watcher) =>
        (_unit, _directory, _time, _watcher) = (unit, directory, time, watcher);

    /// <summary>Starts the unit and waits until it is held.</summary>
    /// <param name="unit">name of the unit, without suffix</param>
    /// <param name="directory">an empty directory of its own</param>
    /// <param name="inside">CRIU holds, which the environment has to tell it: EVACUATOR_GATE</param>
    /// <param name="inherited">what the command starts inherits the unit's limits and priority: those of a service then, not those of our own tools</param>
    /// <param name="ownMounts">what it mounts for itself is seen by nobody else, and gone with it; what the host mounts it sees</param>
    /// <exception cref="CommandException">systemd did not start it, or it ended before it was held</exception>
    public static async Task<ArmedCommand> ArmAsync(
        string unit, string directory, IReadOnlyList<string> command, IReadOnlyDictionary<string, string> environment, bool inside, TimeProvider time, CancellationToken cancel,
        bool inherited = false, bool ownMounts = false)
    {
        Directory.CreateDirectory(directory);
        await Command.RunCheckedAsync("mkfifo", ["-m", "600", Path.Combine(directory, "go"), Path.Combine(directory, "end")], cancel);
        if (inside)
            await File.WriteAllBytesAsync(Path.Combine(directory, "inside"), [], cancel);
        List<string> arguments =
        [
            "--quiet", "--wait", "--collect", $"--unit={unit}", $"--description=Evacuator: {command[0]} for {Path.GetFileName(Path.GetDirectoryName(directory))}",
            // A unit that conflicts with shutdown.target, as units do by default, cannot be started any more while the host goes down: that is when evacuator-on-shutdown moves containers.
            "--property=DefaultDependencies=no", "--property=Delegate=yes", "--property=KillMode=process",
            .. inherited ? [] : (string[])["--property=LimitNOFILE=524288", "--property=OOMScoreAdjust=-900", "--property=Nice=-15", "--property=CPUWeight=10000"],
        ];
        if (ownMounts)
            arguments.Add("--property=PrivateMounts=yes");
        foreach ((string name, string value) in environment)
            arguments.Add($"--setenv={name}={value}");
        arguments.AddRange(["--", "/bin/sh", "-c", $"cd \"$1\" || exit 125; shift\n{(inside ? "" : HoldHere)}{Run}", "sh", directory, .. command]);
        // Not cancelled with the caller: the unit goes on without its watcher, and only its own end tells how it went.
        Task<CommandResult> watcher = Command.RunAsync("systemd-run", arguments, CancellationToken.None);
        string armed = Path.Combine(directory, "armed");
        long start = time.GetTimestamp();
        while (!File.Exists(armed))
        {
            if (watcher.IsCompleted)
            {
                CommandResult early = await FinishAsync(directory, await watcher);
                throw new CommandException($"{(inside ? command[0] : "systemd-run")} in unit {unit} ended with {early.ExitCode} before it was needed: {early.Tail()}");
            }
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
        Task<CommandResult> ended = _watcher ?? WaitAsync();
        if (!File.Exists(Path.Combine(_directory, "armed")))
            return await FinishAsync(_directory, await ended);
        // Opening a fifo without a reader would hang: the shell is killed, or the unit gone.
        await using FileStream end = OpenFifo("end");
        Task<int?> told = Task.Factory.StartNew(() => ReadStatus(end), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await using FileStream go = OpenFifo("go");
        go.Write("go\n"u8);
        if (await Task.WhenAny(told, ended) == ended)
            // The unit is gone without a word: whoever reads the fifo would wait for ever.
            end.Write("\n"u8);
        return await told is { } status ? await FinishAsync(_directory, new CommandResult(status, "", "")) : await FinishAsync(_directory, await ended);
    }

    /// <summary>Makes a dump that has gone fail where it stands: CRIU undoes what it did to the processes. Its end is still to be waited for.</summary>
    public void Cancel()
    {
        try
        {
            File.WriteAllBytes(Path.Combine(_directory, "cancel"), []);
        }
        catch (DirectoryNotFoundException)
        {
            // All is over.
        }
    }

    /// <summary>Calls it off if it has not gone yet. Nobody needs to wait for its end, but for one that has made something: see <see cref="CallOffAsync"/>.</summary>
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
        if (File.Exists(Path.Combine(directory, "inside")))
        {
            // CRIU wakes up, finds that it is called off, and ends; runc then undoes what it had prepared.
            using FileStream go = new(Path.Combine(directory, "go"), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, 0);
            go.Write("no\n"u8);
            return true;
        }
        try
        {
            // The shell is held for ever otherwise.
            using System.Diagnostics.Process? stop = System.Diagnostics.Process.Start("systemctl", ["stop", "--no-block", unit]);
        }
        catch (Win32Exception)
        {
            // No systemctl, no unit.
        }
        return true;
    }

    /// <summary>Calls it off, also one that an agent was still arming when it died, and waits until it makes and undoes nothing any more.</summary>
    public static async Task CallOffAsync(string directory, string unit, TimeProvider time)
    {
        if (!Directory.Exists(directory))
            return;
        ArmedCommand command = Reattach(unit, directory, time);
        Task<CommandResult> end = command.WaitAsync();
        long start = time.GetTimestamp();
        for (bool killed = false; !end.IsCompleted; await Task.WhenAny(end, Task.Delay(TimeSpan.FromMilliseconds(20), time)))
        {
            Disarm(directory, unit);
            if (killed || time.GetElapsedTime(start) < CallOffTime)
                continue;
            await command.KillAsync();
            killed = true;
        }
        await end;
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
            // Empty for a moment, while the shell writes it.
            if (File.Exists(status) && int.TryParse(await File.ReadAllTextAsync(status), out int code))
                return new CommandResult(code, "", "");
            CommandResult active = await Command.RunAsync("systemctl", ["is-active", "--quiet", _unit], CancellationToken.None);
            if (!active.Succeeded && !File.Exists(status))
                return new CommandResult(137, "", $"unit {_unit} is gone without a result");
            await Task.Delay(TimeSpan.FromMilliseconds(50), _time);
        }
    }

    private FileStream OpenFifo(string name) => new(Path.Combine(_directory, name), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, 0);

    /// <summary>Waits for a line with an exit code; null if it holds none.</summary>
    private static int? ReadStatus(FileStream fifo)
    {
        byte[] line = new byte[16];
        int length = fifo.Read(line);
        return int.TryParse(System.Text.Encoding.ASCII.GetString(line, 0, length).Trim(), out int status) ? status : null;
    }

    private static async Task<CommandResult> FinishAsync(string directory, CommandResult unit)
    {
        string output = Path.Combine(directory, "output");
        if (!File.Exists(output))
            return unit;
        string text = await File.ReadAllTextAsync(output);
        return unit with { Output = text.Length > 8192 ? text[^8192..] : text };
    }
}
