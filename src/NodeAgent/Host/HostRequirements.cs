using System.Globalization;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Processes;

namespace Evacuator.NodeAgent.Host;

/// <summary>What a move needs from a host, each probed for real: the program is run, the kernel is asked.</summary>
internal static class HostRequirements
{
    // PAGEMAP_SCAN and write-protect-async came with 6.7; before that no dirty page can be tracked from outside.
    private static readonly Version FirstKernel = new(6, 7);

    // From here on the kernel refuses SO_PASSCRED and SO_PASSSEC on inet sockets, at which CRIU before 4.2 gives up.
    private static readonly Version StrictSocketsKernel = new(6, 16);
    private static readonly Version FirstCriu = new(4, 0);
    private static readonly Version FirstCriuForStrictSockets = new(4, 2);
    private static readonly Version FirstRunc = new(1, 1);

    internal static async Task<IReadOnlyList<Requirement>> ProbeAsync(CancellationToken cancel)
    {
        string release = HostProbe.KernelRelease();
        Version? kernel = ParseVersion(release);
        string? criu = await OutputAsync("criu", ["--version"], cancel);
        List<Requirement> requirements =
        [
            JudgeKernel(release, kernel),
            .. JudgeCriu(criu, kernel),
            JudgeRunc(await OutputAsync("runc", ["--version"], cancel)),
            Feature("PAGEMAP_SCAN", KernelFeatures.PagemapScan(), "run a kernel 6.7 or later (Debian 13 has 6.12)"),
            Feature("userfaultfd", KernelFeatures.UserfaultWriteProtect(), "run a kernel 6.7 or later with CONFIG_USERFAULTFD (Debian 13 has both)"),
            JudgeFreezer(KernelPaths.Default.Cgroup),
        ];
        if (criu is not null)
            requirements.Add(await CriuCheckAsync(cancel));
        foreach ((string program, string package) in (ReadOnlySpan<(string, string)>)[("iptables-restore", "iptables"), ("ip", "iproute2"), ("rsync", "rsync"), ("socat", "socat")])
            requirements.Add(Program(program, package));
        return requirements;
    }

    internal static Requirement JudgeKernel(string release, Version? version) =>
        version is null || version < FirstKernel
            ? new Requirement("kernel", false, release, "install Debian 13's kernel (package linux-image-amd64)", BlockerCode.KernelTooOld)
            : new Requirement("kernel", true, release, "", BlockerCode.KernelTooOld);

    internal static IEnumerable<Requirement> JudgeCriu(string? output, Version? kernel)
    {
        if (output is null)
            return [new Requirement("criu", false, "not installed", "install the package criu (4.0 or later)", BlockerCode.CriuMissing)];
        string found = FirstLine(output);
        if (ParseVersion(found) is not { } version)
            return [new Requirement("criu", false, found, "criu does not tell its version; reinstall the package criu", BlockerCode.CriuMissing)];
        if (version < FirstCriu)
            return [new Requirement("criu", false, found, "install criu 4.0 or later (Debian 13 has 4.1)", BlockerCode.CriuTooOld)];
        if (kernel >= StrictSocketsKernel && version < FirstCriuForStrictSockets)
            return [new Requirement(
                "criu", false, found,
                "kernels 6.16 and later need criu 4.2 for TCP: install criu 4.2.1 with its libraries from Debian sid, or run Debian 13's own kernel", BlockerCode.CriuTooOld)];
        return [new Requirement("criu", true, found, "", BlockerCode.CriuTooOld)];
    }

    internal static Requirement JudgeRunc(string? output)
    {
        string found = output is null ? "not installed" : FirstLine(output);
        return output is not null && ParseVersion(found) >= FirstRunc
            ? new Requirement("runc", true, found, "", BlockerCode.RuncMissing)
            : new Requirement("runc", false, found, "install the package runc (1.1 or later)", BlockerCode.RuncMissing);
    }

    /// <summary>The first digits-and-dots in a text: "Version: 4.2.1", "runc version 1.1.15+ds1", "6.12.48+deb13-amd64". Null if there are none.</summary>
    internal static Version? ParseVersion(string text)
    {
        int start = text.AsSpan().IndexOfAnyInRange('0', '9');
        if (start < 0)
            return null;
        string[] parts = new string([.. text.Skip(start).TakeWhile(c => char.IsAsciiDigit(c) || c == '.')]).Split('.', StringSplitOptions.RemoveEmptyEntries);
        int[] numbers = [.. parts.Take(3).Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0)];
        return new Version(numbers[0], numbers.Length > 1 ? numbers[1] : 0, numbers.Length > 2 ? numbers[2] : 0);
    }

    internal static Requirement JudgeFreezer(string cgroupMount)
    {
        // The root of the hierarchy cannot be frozen and so has no such file; every other cgroup has.
        bool met = File.Exists($"{cgroupMount}/cgroup.controllers")
            && Directory.EnumerateDirectories(cgroupMount).Any(child => File.Exists($"{child}/cgroup.freeze") && File.Exists($"{child}/cgroup.kill"));
        return met
            ? new Requirement("cgroup v2", true, $"with freezer at {cgroupMount}", "", BlockerCode.FeatureMissing)
            : new Requirement(
                "cgroup v2", false, $"no freezer at {cgroupMount}", "boot with the unified hierarchy (systemd.unified_cgroup_hierarchy=1 on the kernel command line)",
                BlockerCode.FeatureMissing);
    }

    private static Requirement Feature(string name, string? error, string remedy) =>
        new(name, error is null, error ?? "available", error is null ? "" : remedy, BlockerCode.KernelTooOld);

    private static async Task<Requirement> CriuCheckAsync(CancellationToken cancel)
    {
        CommandResult result = await Command.RunAsync("criu", ["check"], cancel);
        return result.Succeeded
            ? new Requirement("criu check", true, "looks good", "", BlockerCode.FeatureMissing)
            : new Requirement("criu check", false, result.Tail(1), "run \"criu check\" as root: it names the kernel feature that is missing", BlockerCode.FeatureMissing);
    }

    private static Requirement Program(string program, string package)
    {
        string? path = ((string[])["/usr/sbin", "/usr/bin", "/sbin", "/bin"]).Select(directory => Path.Combine(directory, program)).FirstOrDefault(File.Exists);
        return new Requirement(program, path is not null, path ?? "not installed", path is null ? $"install the package {package}" : "", BlockerCode.FeatureMissing);
    }

    private static async Task<string?> OutputAsync(string program, string[] arguments, CancellationToken cancel)
    {
        try
        {
            CommandResult result = await Command.RunAsync(program, arguments, cancel);
            return result.Succeeded ? result.Output : result.Tail(1);
        }
        catch (CommandException)
        {
            return null;
        }
    }

    private static string FirstLine(string output) => output.Trim().Split('\n')[0].Trim();
}
