using System.Runtime.InteropServices;

namespace Evacuator.Testing;

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
