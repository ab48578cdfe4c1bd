using Evacuator.NodeAgent.Migration;

namespace Evacuator.NodeAgent.Criu;

/// <summary>What runc and CRIU get as their environment: a home of our own, and what of ours is put into CRIU.</summary>
internal static class CriuEnvironment
{
    /// <param name="gate">the directory of the armed command, if CRIU is to hold there</param>
    /// <param name="owned">the list of memory that CRIU leaves alone, for a dump with the shim</param>
    /// <param name="mappings">the directory in which it finds what smaps would say, once the list is there</param>
    public static IReadOnlyDictionary<string, string> For(AgentPaths paths, CriuPreloads with, string? gate, string? owned, string? mappings = null)
    {
        Dictionary<string, string> environment = new() { ["HOME"] = paths.CriuHome, ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin", ["LC_ALL"] = "C" };
        List<string> preloads = [];
        if (owned is not null)
        {
            preloads.Add(paths.Shim);
            environment["EVACUATOR_OWNED"] = owned;
            if (mappings is not null)
                environment["EVACUATOR_MAPPINGS"] = mappings;
        }
        if (gate is not null)
        {
            preloads.Add(paths.Gate);
            environment["EVACUATOR_GATE"] = gate;
        }
        if (with.Quick)
        {
            preloads.Add(paths.Quick);
            environment["EVACUATOR_QUICK"] = "1";
        }
        if (preloads.Count > 0)
            environment["LD_PRELOAD"] = string.Join(':', preloads);
        return environment;
    }
}
