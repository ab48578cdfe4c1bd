using System.Diagnostics;
using System.Globalization;
using Evacuator.NodeAgent.Containers;

namespace Evacuator.NodeAgent.Tests.Containers;

/// <summary>A cgroup of the test's own in this machine's cgroup2, and processes in it. Removed with them.</summary>
public sealed class TestCgroup : IDisposable
{
    private readonly List<Process> _processes = [];

    internal TestCgroup(string? name = null)
    {
        Path = $"/{name ?? $"evacuator-test-{Guid.NewGuid():N}"}";
        Directory.CreateDirectory(FullPath);
    }

    /// <summary>Below the mount.</summary>
    internal string Path { get; }

    internal string FullPath => KernelPaths.Default.CgroupDirectory(Path);

    /// <summary>Starts a shell command inside of the cgroup, or of a child of it, and answers its process when it has said that it runs.</summary>
    internal Process Start(string command, string wrapper = "", string child = "")
    {
        string directory = FullPath + child;
        Directory.CreateDirectory(directory);
        Process process = Process.Start(new ProcessStartInfo("sh")
        {
            ArgumentList = { "-c", $"echo $$ > {directory}/cgroup.procs; exec {wrapper} sh -c 'echo running; {command}'" },
            RedirectStandardOutput = true,
        })!;
        _processes.Add(process);
        string? said = process.StandardOutput.ReadLine();
        return said == "running" ? process : throw new InvalidOperationException($"'{command}' did not start: {said}");
    }

    /// <summary>Starts processes in namespaces of their own, as a container's are; answers the first one as the host numbers it.</summary>
    /// <param name="redirect">a redirection of the shell, opened before the namespaces are made</param>
    internal int Contain(string command = "sleep 600 & wait", string redirect = "")
    {
        Start(command, $"{redirect} unshare --pid --net --mount --uts --ipc --fork --kill-child");
        // unshare itself waits outside of the new pid namespace: moved away, so that only what is inside remains.
        string host = new FileInfo("/proc/self/ns/pid").LinkTarget!;
        foreach (int pid in CgroupTree.Processes(FullPath).Where(pid => new FileInfo($"/proc/{pid}/ns/pid").LinkTarget == host))
            File.WriteAllText($"{KernelPaths.Default.Cgroup}/cgroup.procs", pid.ToString(CultureInfo.InvariantCulture));
        return CgroupTree.Processes(FullPath).Min();
    }

    public void Dispose()
    {
        if (Directory.Exists(FullPath))
        {
            File.WriteAllText($"{FullPath}/cgroup.kill", "1");
            File.WriteAllText($"{FullPath}/cgroup.freeze", "0");
        }
        foreach (Process process in _processes)
        {
            process.WaitForExit();
            process.Dispose();
        }
        if (!Directory.Exists(FullPath))
            return;
        CgroupTree.WaitForEvent(FullPath, "populated", wanted: false, TimeSpan.FromSeconds(10), TimeProvider.System, default);
        foreach (string member in CgroupTree.WithChildren(FullPath).Reverse())
            Directory.Delete(member);
    }
}
