using System.Text.RegularExpressions;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network;

namespace Evacuator.NodeAgent.Host;

internal sealed partial class EmptinessProof
{
    /// <summary>
    /// Every cgroup with processes has to be systemd's. Containers are in plain directories (runc by itself), in scopes with the names that
    /// runtimes give (podman libpod-ID.scope, docker-ID.scope, runc-ID.scope, Kubernetes' kubepods…), or registered as machines.
    /// </summary>
    private int CheckCgroups(List<string> left, Leaving leaving)
    {
        string root = options.Paths.Cgroup;
        if (!File.Exists($"{root}/cgroup.procs"))
            throw new IOException($"{root} is no cgroup2 hierarchy");
        int examined = 0;
        foreach (string directory in CgroupTree.WithChildren(root))
        {
            string path = directory.Length == root.Length ? "/" : directory[root.Length..];
            // Only the root has processes without being a unit: those of the kernel.
            if (path == "/" || leaving.HasCgroup(path))
                continue;
            examined++;
            if (ProcFiles.ReadText($"{directory}/cgroup.procs") is not { } text)
            {
                if (Directory.Exists(directory))
                    left.Add($"the processes of cgroup {path} cannot be read");
                continue;
            }
            string[] processes = text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
            if (processes.Length > 0 && WhyContainer(path) is { } why)
                left.Add($"cgroup {path} has {processes.Length} process{(processes.Length == 1 ? "" : "es")}, first {Name(processes[0])}: {why}");
        }
        return examined;
    }

    /// <summary>Null if the cgroup is the host's own.</summary>
    internal static string? WhyContainer(string path)
    {
        bool insideUnit = false;
        foreach (string part in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (ContainerPattern().IsMatch(part))
                return $"{part} is what a container runtime names its cgroups";
            // What a service does with the cgroups below its own is its own affair (user@.service, udev).
            insideUnit |= part.EndsWith(".service", StringComparison.Ordinal) || part.EndsWith(".scope", StringComparison.Ordinal);
            if (!insideUnit && !UnitPattern().IsMatch(part))
                return $"{part} is no unit of systemd";
        }
        return null;
    }

    [GeneratedRegex(
        @"^(docker|libpod|runc|crun|cri-containerd|crio|nerdctl|machine|buildkit)-.*(?<!\.service|\.slice|\.socket|\.timer)$"
        + @"|^(kubepods|machine)(-.*)?\.slice$|^kubepods|^lxc(\.|$)|^docker$|^libpod_parent$")]
    private static partial Regex ContainerPattern();

    [GeneratedRegex(@"\.(service|scope|slice|socket|mount|swap|automount|timer|path|target|device)$")]
    private static partial Regex UnitPattern();

    /// <summary>
    /// A container's processes see other process numbers, another root, or a network with interfaces of its own. Services in systemd's sandbox
    /// (PrivateNetwork with lo alone, a mount namespace, a root of their own) are not containers.
    /// </summary>
    private int CheckProcesses(List<string> left, Leaving leaving)
    {
        string hostPid = Namespace(options.InitPid, "pid"), hostNet = Namespace(options.InitPid, "net"), hostMount = Namespace(options.InitPid, "mnt");
        if (!Interop.FileCalls.TryStat($"{_proc.Root}/{options.InitPid}/root", out Interop.FileCalls.Statx hostRoot))
            throw new IOException($"the root of process {options.InitPid} cannot be read");
        Dictionary<string, string?> networks = [];
        int examined = 0;
        foreach (int pid in _proc.Processes())
        {
            // Unreadable: it has just ended. A zombie has no namespaces any more and runs nothing.
            if (_proc.Stat(pid) is not { IsKernelThread: false, IsZombie: false } stat)
                continue;
            examined++;
            string? pidSpace = _proc.Link(pid, "ns/pid"), net = _proc.Link(pid, "ns/net"), mount = _proc.Link(pid, "ns/mnt");
            if (pidSpace is null || net is null || mount is null)
            {
                if (_proc.Stat(pid) is { IsZombie: false })
                    left.Add($"the namespaces of process {pid} ({stat.Name}) cannot be read");
                continue;
            }
            string cgroup = _proc.Cgroup(pid) ?? "?";
            if (leaving.HasCgroup(cgroup))
                continue;
            if (pidSpace != hostPid)
                left.Add($"process {pid} ({stat.Name}) in {cgroup} runs in another pid namespace");
            else if (mount != hostMount && !cgroup.Contains(".service", StringComparison.Ordinal)
                && Interop.FileCalls.TryStat($"{_proc.Root}/{pid}/root", out Interop.FileCalls.Statx root) && root.Identity != hostRoot.Identity)
                left.Add($"process {pid} ({stat.Name}) in {cgroup} has another root directory and belongs to no service");
            else if (net != hostNet && InterfacesOf(pid, net, networks) is { Length: > 0 } interfaces)
                left.Add($"process {pid} ({stat.Name}) in {cgroup} runs in another network with {interfaces}");
        }
        return examined;
    }

    /// <summary>Interfaces besides lo and the kernel's fallback devices, looked at once per namespace; null if it has ended meanwhile.</summary>
    private string? InterfacesOf(int pid, string net, Dictionary<string, string?> known)
    {
        if (!known.TryGetValue(net, out string? interfaces))
            known[net] = interfaces = ProcFiles.ReadText($"{_proc.Root}/{pid}/net/dev") is { } text ? string.Join(", ", InterfaceNames(text)) : null;
        return interfaces;
    }

    /// <summary>/proc/net/dev: two heading lines, then "  eth0: 1234 …".</summary>
    internal static IEnumerable<string> InterfaceNames(string text) =>
        text.Split('\n').Skip(2).Select(line => line.Split(':')[0].Trim())
            .Where(name => name.Length > 0 && name != "lo" && !NetworkHandover.FallbackDevices.Contains(name));

    private string Namespace(int pid, string kind) =>
        _proc.Link(pid, $"ns/{kind}") ?? throw new IOException($"the {kind} namespace of process {pid} cannot be read");

    private string Name(string pid) => $"{pid} ({(int.TryParse(pid, out int number) ? _proc.Stat(number)?.Name : null) ?? "?"})";
}
