namespace Evacuator.NodeAgent.Files;

/// <summary>
/// Where a container's trees lie before, during and after a move. At the source a moved tree is not deleted but set aside under a name that
/// nothing starts from: it costs disk, saves the copy when the container comes home, and is there if somebody needs it.
/// </summary>
internal static class TreePlace
{
    /// <summary>Set aside by a move: /srv/c1 → /srv/c1.evacuated.</summary>
    public static string SetAside(string path) => path + ".evacuated";

    /// <summary>Why a peer may not have this path written here; null if it may.</summary>
    public static string? WhyRefused(string path)
    {
        if (!path.StartsWith('/') || path.AsSpan().IndexOfAny('\n', '\r', '\0') >= 0 || path.Split('/').Any(part => part is "." or ".."))
            return $"\"{path}\" is not a plain absolute path";
        string[] parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length < 2)
            return $"{path} is a top-level directory of the host";
        if (parts[0] is "proc" or "sys" or "dev" or "boot" or "bin" or "sbin" or "lib" or "lib64" or "etc" or "usr" or "root")
            return $"{path} is in /{parts[0]}, which belongs to the host";
        return null;
    }

    /// <summary>Makes the directory ready to be filled; reuses what an earlier move had set aside, so that only the difference travels.</summary>
    public static void Prepare(string path)
    {
        string aside = SetAside(path);
        if (!Directory.Exists(path) && Directory.Exists(aside))
            Directory.Move(aside, path);
        Directory.CreateDirectory(path);
    }

    /// <summary>Takes the tree out of the way: nothing can be started from it under its old name. Idempotent.</summary>
    public static void PutAside(string path)
    {
        if (!Directory.Exists(path))
            return;
        string aside = SetAside(path);
        if (Directory.Exists(aside))
            Directory.Delete(aside, recursive: true);
        Directory.Move(path, aside);
    }
}
