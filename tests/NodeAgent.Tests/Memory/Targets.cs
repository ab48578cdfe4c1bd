using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Evacuator.NodeAgent.Memory;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Memory;

/// <summary>A test that compiles a C program and looks into its memory: needs root, gcc, a kernel with dirty tracking and a cgroup2 tree. Skipped with the reason.</summary>
public sealed class TargetFactAttribute : FactAttribute
{
    public TargetFactAttribute() => Skip = Targets.WhyNot;
}

/// <summary>Like <see cref="TargetFactAttribute"/>, with data rows.</summary>
public sealed class TargetTheoryAttribute : TheoryAttribute
{
    public TargetTheoryAttribute() => Skip = Targets.WhyNot;
}

/// <summary>Compiles the programs under targets/, once per content.</summary>
internal static class Targets
{
    private static readonly Lock Compiling = new();

    public static MemoryFeatures Features { get; } = MemoryFeatures.Probe();

    public static string? Cgroup2 { get; } = FindCgroup2();

    public static string? WhyNot { get; } = Prerequisites.WhyNoRoot
        ?? (File.Exists("/usr/bin/gcc") ? null : "needs gcc: apt-get install gcc libc6-dev")
        ?? (Features.CanTrack ? null : Features.Missing[0].ToString())
        ?? (Cgroup2 is null ? "needs a cgroup2 mount" : null);

    /// <summary>The path of the compiled program.</summary>
    public static string Compile(string name, params string[] options)
    {
        string source = Path.Combine(Prerequisites.ProjectRoot, "tests", "NodeAgent.Tests", "Memory", "targets", name + ".c");
        string hash = Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(source)))[..12];
        string folder = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), "evacuator-targets")).FullName;
        string program = Path.Combine(folder, $"{name}-{hash}{string.Concat(options).Replace('/', '_').Replace(' ', '_')}");
        lock (Compiling)
        {
            if (File.Exists(program))
                return program;
            string unfinished = $"{program}.{Environment.ProcessId}";
            using Process gcc = Process.Start(new ProcessStartInfo("gcc", ["-O1", "-Wall", "-pthread", "-o", unfinished, source, .. options]) { RedirectStandardError = true })!;
            string errors = gcc.StandardError.ReadToEnd();
            gcc.WaitForExit();
            Assert.True(gcc.ExitCode == 0, $"gcc {name}: {errors}");
            File.Move(unfinished, program, overwrite: true);
        }
        return program;
    }

    private static string? FindCgroup2()
    {
        foreach (string line in File.ReadLines("/proc/mounts"))
            if (line.Split(' ') is [_, var place, "cgroup2", ..])
                return place;
        return null;
    }
}

/// <summary>
/// A compiled program that runs in a cgroup of its own, which can be frozen as a container's is. Its stdout is kept. Its parent is a shell and not this process: the runtime
/// waits for its own children, and would take the stops of one that is traced.
/// </summary>
internal sealed class Target : IDisposable
{
    // $0 is the cgroup, $@ the command. The outer shell stays outside and reports the end.
    private const string Launch = """
        (sh -c 'echo $$ > "$0/cgroup.procs"; echo "pid $$"; exec "$@"' "$0" "$@"; echo "exit $?") &
        """;

    private readonly Process _shell;
    private readonly List<string> _output = [];
    private readonly TaskCompletionSource<int> _pid = new(), _exit = new();
    private readonly TaskCompletionSource _ready = new();

    /// <param name="wrapper">A program and arguments to run it with, such as unshare or setpriv.</param>
    public Target(string program, string[] arguments, params string[] wrapper)
    {
        Cgroup = Directory.CreateDirectory(Path.Combine(Targets.Cgroup2!, $"evacuator-test-{Environment.ProcessId}-{Guid.NewGuid():N}")).FullName;
        _shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", Launch, Cgroup, .. wrapper, program, .. arguments]) { RedirectStandardOutput = true })!;
        _shell.OutputDataReceived += (_, line) => Receive(line.Data ?? "exit -1");
        _shell.BeginOutputReadLine();
        FirstPid = _pid.Task.WaitAsync(Limit).GetAwaiter().GetResult();
        Task.WhenAny(_ready.Task, _exit.Task).WaitAsync(Limit).GetAwaiter().GetResult();
    }

    public static TimeSpan Limit { get; } = TimeSpan.FromMinutes(2);

    public string Cgroup { get; }

    /// <summary>Of the wrapper, where there is one.</summary>
    public int FirstPid { get; }

    public bool HasExited => _exit.Task.IsCompleted;

    public string Output
    {
        get
        {
            lock (_output)
                return string.Join('\n', _output);
        }
    }

    public SortedSet<int> Pids => ProcFiles.ProcessesOfCgroup(Cgroup);

    public void Freeze(bool frozen)
    {
        File.WriteAllText(Path.Combine(Cgroup, "cgroup.freeze"), frozen ? "1" : "0");
        string expected = frozen ? "frozen 1" : "frozen 0";
        Assert.True(SpinWait.SpinUntil(() => File.ReadAllText(Path.Combine(Cgroup, "cgroup.events")).Contains(expected, StringComparison.Ordinal), Limit), "the cgroup does not freeze");
    }

    public void Signal(string name)
    {
        using Process kill = Process.Start("/bin/sh", ["-c", string.Create(CultureInfo.InvariantCulture, $"kill -{name} {FirstPid}")]);
        kill.WaitForExit();
    }

    /// <summary>The exit code as a shell gives it: 128 + signal for a killed program.</summary>
    public async Task<int> WaitForExitAsync() => await _exit.Task.WaitAsync(Limit);

    public void Dispose()
    {
        try
        {
            // The test's own cgroup: nothing else is in it.
            File.WriteAllText(Path.Combine(Cgroup, "cgroup.kill"), "1");
            File.WriteAllText(Path.Combine(Cgroup, "cgroup.freeze"), "0");
            SpinWait.SpinUntil(() => Pids.Count == 0, TimeSpan.FromSeconds(20));
            Directory.Delete(Cgroup);
        }
        catch (IOException)
        {
            // A cgroup that is still dying stays behind; it is empty and costs nothing.
        }
        _shell.Dispose();
    }

    private void Receive(string line)
    {
        if (line == "ready")
            _ready.TrySetResult();
        else if (line.StartsWith("pid ", StringComparison.Ordinal))
            _pid.TrySetResult(int.Parse(line[4..], CultureInfo.InvariantCulture));
        else if (line.StartsWith("exit ", StringComparison.Ordinal))
            _exit.TrySetResult(int.Parse(line[5..], CultureInfo.InvariantCulture));
        else
            lock (_output)
                _output.Add(line);
    }
}
