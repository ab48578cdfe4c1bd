using Microsoft.Win32.SafeHandles;

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
    /// <exception cref="IOException">the path goes through a symbolic link</exception>
    public static void Prepare(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        Within(path, (tree, aside) =>
        {
            if (!Path.Exists(tree) && IsDirectory(aside))
                Directory.Move(aside, tree);
            if (!IsDirectory(tree))
                Directory.CreateDirectory(tree);
        });
    }

    /// <summary>
    /// Takes the tree out of the way: nothing can be started from it under its old name. Idempotent. A link in its place is left alone, as is what
    /// it points to.
    /// </summary>
    /// <exception cref="IOException">the path goes through a symbolic link: somebody has put it there since the tree was looked at</exception>
    public static void PutAside(string path)
    {
        if (!Directory.Exists(Path.GetDirectoryName(path)))
            return;
        Within(path, (tree, aside) =>
        {
            if (!IsDirectory(tree))
                return;
            // Of a link the link alone: .NET does not follow it.
            if (IsDirectory(aside))
                Directory.Delete(aside, recursive: true);
            else
                File.Delete(aside);
            Directory.Move(tree, aside);
        });
    }

    /// <summary>
    /// The act on a tree and its place aside, by names that lead through a descriptor of the directory above them: a container that fills that
    /// directory cannot lead us elsewhere, root that we are.
    /// </summary>
    private static void Within(string path, Action<string, string> act)
    {
        using SafeFileHandle parent = Interop.OpenDirectoryWithoutLinks(Path.GetDirectoryName(path)!);
        string tree = $"/proc/self/fd/{parent.DangerousGetHandle()}/{Path.GetFileName(path)}";
        act(tree, SetAside(tree));
    }

    /// <summary>Itself, not what a link points to.</summary>
    private static bool IsDirectory(string path) =>
        Interop.FileCalls.TryStat(path, out Interop.FileCalls.Statx stat, follow: false) && stat.Type == Interop.FileCalls.S_IFDIR;
}
