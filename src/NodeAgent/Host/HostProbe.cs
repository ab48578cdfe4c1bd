using System.Globalization;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;

namespace Evacuator.NodeAgent.Host;

/// <summary>What this host can do and how much room it has.</summary>
/// <param name="node">name of the node in the fleet</param>
/// <param name="agentVersion">version of this agent</param>
/// <param name="protocolVersion">version of the protocol between agents</param>
/// <param name="bundlesDirectory">whose file system's free space is reported</param>
/// <param name="imagesDirectory">where images go</param>
internal sealed class HostProbe(string node, string agentVersion, int protocolVersion, string bundlesDirectory, string imagesDirectory, TimeProvider time)
{
    // Long enough to cost nothing, short enough that an operator who installs what was missing sees it while still looking.
    private static readonly TimeSpan MissingAge = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan MetAge = TimeSpan.FromMinutes(10);

    private static readonly Lazy<IReadOnlyList<string>> s_cpuFeatures = new(() => CpuFeatures(ProcFiles.ReadText("/proc/cpuinfo") ?? ""));

    private readonly SemaphoreSlim _probing = new(1, 1);
    private IReadOnlyList<Requirement>? _requirements;
    private long _probedAt;

    /// <summary>Cheap enough for every second: programs and kernel features are probed rarely, and again soon if one was missing.</summary>
    public async Task<HostReport> ReportAsync(bool inboundOpen, long memoryReserved, long diskReserved, CancellationToken cancel)
    {
        string memory = ProcFiles.ReadText("/proc/meminfo") ?? "";
        string load = ProcFiles.ReadText("/proc/loadavg") ?? "";
        return new HostReport
        {
            Node = node,
            BootId = (ProcFiles.ReadText("/proc/sys/kernel/random/boot_id") ?? "").Trim(),
            AgentVersion = agentVersion,
            ProtocolVersion = protocolVersion,
            Kernel = KernelRelease(),
            MemoryTotal = Bytes(memory, "MemTotal"),
            MemoryAvailable = Math.Max(0, Bytes(memory, "MemAvailable") - memoryReserved),
            MemoryReserved = memoryReserved,
            DiskAvailable = Math.Max(0, FreeSpace.At(bundlesDirectory) - diskReserved),
            Cpus = Environment.ProcessorCount,
            LoadAverage = double.TryParse(load.Split(' ')[0], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value) ? value : 0,
            InboundOpen = inboundOpen,
            CpuFeatures = s_cpuFeatures.Value,
            Requirements = [.. await RequirementsAsync(cancel), ImageRoom.Require(imagesDirectory)],
        };
    }

    /// <summary>
    /// Of the line "flags		: fpu vme …" what programs use directly: instruction sets, and what shapes the register state that CRIU saves. The rest is the
    /// kernel's business, and differs between revisions of one processor.
    /// </summary>
    internal static IReadOnlyList<string> CpuFeatures(string cpuinfo) =>
        [.. (ProcFiles.Field(cpuinfo, "flags") ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries).Where(IsForPrograms).Distinct().Order(StringComparer.Ordinal)];

    private static bool IsForPrograms(string flag) =>
        flag is "abm" or "adx" or "aes" or "bmi1" or "bmi2" or "cldemote" or "clflushopt" or "clwb" or "cx16" or "f16c" or "fma" or "fma4" or "fsgsbase" or "gfni" or "lahf_lm" or "movbe"
            or "movdir64b" or "movdiri" or "pclmulqdq" or "pku" or "ospke" or "pni" or "popcnt" or "rdpid" or "rdrand" or "rdseed" or "rdtscp" or "serialize" or "sha_ni" or "ssse3" or "tbm"
            or "vaes" or "vpclmulqdq" or "waitpkg" or "xgetbv1" or "xop"
        || flag.StartsWith("sse", StringComparison.Ordinal) || flag.StartsWith("avx", StringComparison.Ordinal) || flag.StartsWith("amx", StringComparison.Ordinal)
        || flag.StartsWith("xsave", StringComparison.Ordinal);

    internal static string KernelRelease() => (ProcFiles.ReadText("/proc/sys/kernel/osrelease") ?? "").Trim();

    /// <summary>"MemTotal:       24689908 kB"; 0 without such a line.</summary>
    internal static long Bytes(string meminfo, string name) =>
        ProcFiles.Field(meminfo, name) is { } field && long.TryParse(field.Split(' ')[0], NumberStyles.None, CultureInfo.InvariantCulture, out long kib) ? kib * 1024 : 0;

    private async Task<IReadOnlyList<Requirement>> RequirementsAsync(CancellationToken cancel)
    {
        await _probing.WaitAsync(cancel);
        try
        {
            TimeSpan age = time.GetElapsedTime(_probedAt);
            if (_requirements is null || age > (_requirements.All(r => r.Met) ? MetAge : MissingAge))
            {
                _requirements = await HostRequirements.ProbeAsync(cancel);
                _probedAt = time.GetTimestamp();
            }
            return _requirements;
        }
        finally
        {
            _probing.Release();
        }
    }
}
