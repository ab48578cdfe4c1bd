using Evacuator.NodeAgent.Containers;

namespace Evacuator.NodeAgent.Criu;

/// <summary>The command lines that make and restore images.</summary>
internal static class RuncCommands
{
    // --leave-running: the images are only a copy until the destination has them all; the tasks stay in their frozen cgroup.
    public static IReadOnlyList<string> Checkpoint(ContainerDescription container, string runcRoot, string images, string work, bool lazyPages) =>
    [
        .. Runc(container, runcRoot), "checkpoint", "--leave-running", "--tcp-established", "--file-locks", .. lazyPages ? LazyPagesDump.RuncOptions : [],
        "--image-path", images, "--work-path", work, container.Name,
    ];

    public static IReadOnlyList<string> Restore(ContainerDescription container, string runcRoot, string images, string work, bool lazy) =>
    [
        .. Runc(container, runcRoot), "restore", "--detach", .. lazy ? (string[])["--lazy-pages"] : [], "--tcp-established", "--file-locks", "--bundle", container.Bundle,
        "--image-path", images, "--work-path", work, container.Name,
    ];

    /// <summary>
    /// Starts it anew. Its output goes nowhere: whoever held it before is on another host, and a file would grow for ever. What runc itself has to say is in the log.
    /// </summary>
    public static IReadOnlyList<string> Start(ContainerDescription container, string runcRoot, string log) =>
    [
        "/bin/sh", "-c", "exec \"$@\" </dev/null >/dev/null 2>&1", "sh",
        .. Runc(container, runcRoot), "--log", log, "run", "--detach", "--bundle", container.Bundle, container.Name,
    ];

    /// <summary>The last line of runc's own log: 'time="…" level=error msg="…"'.</summary>
    public static string StartProblem(string log) => File.Exists(log) && File.ReadLines(log).LastOrDefault() is { Length: > 0 } line ? line : "runc says nothing";

    /// <summary>The lines of a CRIU log that say why it failed; the whole log has tens of thousands.</summary>
    public static string ReasonIn(string work, string log)
    {
        string path = Path.Combine(work, log);
        if (!File.Exists(path))
            return "";
        IEnumerable<string> errors = File.ReadLines(path)
            // CRIU always says this where it may not raise the limit; it means nothing.
            .Where(line => line.Contains("Error (") && !line.Contains("RLIMIT_NOFILE"))
            .Select(line => line[(line.IndexOf("): ", StringComparison.Ordinal) is >= 0 and var at ? at + 3 : 0)..].Trim());
        return string.Join("; ", errors.Take(4));
    }

    private static IEnumerable<string> Runc(ContainerDescription container, string runcRoot) =>
        container.SystemdCgroup ? ["runc", "--root", runcRoot, "--systemd-cgroup"] : ["runc", "--root", runcRoot];
}
