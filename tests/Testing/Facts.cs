using System.Runtime.InteropServices;

namespace Evacuator.Testing;

/// <summary>A test that needs root and the kernel's migration features; skipped with the reason where they are missing.</summary>
public sealed class RootFactAttribute : FactAttribute
{
    public RootFactAttribute() => Skip = Prerequisites.WhyNoRoot;
}

/// <summary>Like <see cref="RootFactAttribute"/>, with data rows.</summary>
public sealed class RootTheoryAttribute : TheoryAttribute
{
    public RootTheoryAttribute() => Skip = Prerequisites.WhyNoRoot;
}

/// <summary>A test that reads the real Redfish data beside the project (../shared/redfish); skipped where it is absent.</summary>
public sealed class SharedDataFactAttribute : FactAttribute
{
    public SharedDataFactAttribute() => Skip = Prerequisites.WhyNoSharedData;
}

/// <summary>Like <see cref="SharedDataFactAttribute"/>, with data rows.</summary>
public sealed class SharedDataTheoryAttribute : TheoryAttribute
{
    public SharedDataTheoryAttribute() => Skip = Prerequisites.WhyNoSharedData;
}

/// <summary>A test that needs the lab's nodes (several systemd hosts on this machine); skipped without root or where test.sh could not start it.</summary>
public sealed class LabFactAttribute : FactAttribute
{
    public LabFactAttribute() => Skip = Prerequisites.WhyNoLab;
}

/// <summary>Like <see cref="LabFactAttribute"/>, for faults that take long: only with EVACUATOR_ALL_FAULTS=1.</summary>
public sealed class LongLabFactAttribute : FactAttribute
{
    public LongLabFactAttribute() =>
        Skip = Prerequisites.WhyNoLab ?? (Environment.GetEnvironmentVariable("EVACUATOR_ALL_FAULTS") == "1" ? null : "takes long: EVACUATOR_ALL_FAULTS=1");
}

/// <summary>Like <see cref="LabTheoryAttribute"/>, for faults that take long: only with EVACUATOR_ALL_FAULTS=1.</summary>
public sealed class LongLabTheoryAttribute : TheoryAttribute
{
    public LongLabTheoryAttribute() =>
        Skip = Prerequisites.WhyNoLab ?? (Environment.GetEnvironmentVariable("EVACUATOR_ALL_FAULTS") == "1" ? null : "takes long: EVACUATOR_ALL_FAULTS=1");
}

/// <summary>Like <see cref="LabFactAttribute"/>, with data rows.</summary>
public sealed class LabTheoryAttribute : TheoryAttribute
{
    public LabTheoryAttribute() => Skip = Prerequisites.WhyNoLab;
}

/// <summary>A test with a real etcd; skipped with the reason where it is not installed.</summary>
public sealed class EtcdFactAttribute : FactAttribute
{
    public EtcdFactAttribute() => Skip = EtcdServer.WhyNone;
}

/// <summary>What this machine offers to tests, found out once.</summary>
public static partial class Prerequisites
{
    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint GetEffectiveUserId();

    /// <summary>The project's root folder: the one that holds Evacuator.sln.</summary>
    public static string ProjectRoot { get; } = FindProjectRoot();

    /// <summary>The folder of real Redfish data, or null where it is absent.</summary>
    public static string? SharedRedfish { get; } = FindShared();

    public static string? WhyNoRoot { get; } = GetEffectiveUserId() == 0 ? null : "needs root: run ./test.sh as root";

    public static string? WhyNoSharedData { get; } = SharedRedfish is null ? "needs ../shared/redfish beside the project" : null;

    public static string? WhyNoLab { get; } = WhyNoRoot ?? Environment.GetEnvironmentVariable("EVACUATOR_NO_LAB") switch
    {
        null or "" => null,
        var reason => reason,
    };

    private static string FindProjectRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "Evacuator.sln")))
                return folder.FullName;
        throw new InvalidOperationException($"no Evacuator.sln above {AppContext.BaseDirectory}");
    }

    private static string? FindShared()
    {
        string folder = Path.GetFullPath(Path.Combine(FindProjectRoot(), "..", "shared", "redfish"));
        return Directory.Exists(folder) ? folder : null;
    }
}
