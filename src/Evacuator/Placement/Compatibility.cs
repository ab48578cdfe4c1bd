using System.Globalization;
using Evacuator.Common.AgentApi;

namespace Evacuator.Placement;

/// <summary>Whether a process that runs on one host can go on on another: it may use any instruction and any kernel interface that it has found at its start.</summary>
internal static class Compatibility
{
    /// <summary>Empty when it can, or when one of the two does not tell: an agent of the version before tells no processor features.</summary>
    public static IReadOnlyList<Blocker> WhyNotLive(Origin from, string peer, HostReport there)
    {
        if (from.Host is not { } here)
            return [];
        List<Blocker> blockers = [];
        if (here.CpuFeatures is { } used && there.CpuFeatures is { } offered)
        {
            List<string> missing = [.. used.Except(offered, StringComparer.Ordinal).Order(StringComparer.Ordinal)];
            if (missing.Count > 0)
                blockers.Add(new Blocker(BlockerCode.CpuFeatures,
                    $"the processor of {peer} lacks {string.Join(", ", missing.Take(5))}{(missing.Count > 5 ? $" and {missing.Count - 5} more" : "")}, which {from.Node} has and its programs may be using"));
        }

        // The third number is a distribution's patch level and changes no interface.
        if (Version(here.Kernel, parts: 2) is { } kernel && Version(there.Kernel, parts: 2) is { } theirs && theirs < kernel)
            blockers.Add(new Blocker(BlockerCode.KernelTooOld, $"{peer} runs kernel {there.Kernel}, older than the {here.Kernel} that its programs have seen here: upgrade {peer}"));
        if (Version(Criu(here), parts: 3) is { } criu && Version(Criu(there), parts: 3) is { } other && other < criu)
            blockers.Add(new Blocker(BlockerCode.CriuTooOld, $"{peer} has CRIU {other}, older than the {criu} here, and an older one does not read its images: upgrade {peer}"));
        return blockers;
    }

    private static string Criu(HostReport host) => host.Requirements.FirstOrDefault(requirement => requirement.Name == "criu")?.Found ?? "";

    /// <summary>The first numbers with dots in a text: "6.12.48+deb13-amd64", "Version: 4.2.1". Null if there are none.</summary>
    internal static Version? Version(string text, int parts)
    {
        int start = text.AsSpan().IndexOfAnyInRange('0', '9');
        if (start < 0)
            return null;
        ReadOnlySpan<char> rest = text.AsSpan(start);
        int end = rest.IndexOfAnyExcept("0123456789.");
        int[] numbers = [.. (end < 0 ? rest : rest[..end]).ToString().Split('.', StringSplitOptions.RemoveEmptyEntries)
            .Take(parts).Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0)];
        return new Version(numbers[0], numbers.Length > 1 ? numbers[1] : 0, numbers.Length > 2 ? numbers[2] : 0);
    }
}
