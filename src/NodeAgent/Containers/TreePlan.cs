using Evacuator.Common.AgentApi;

namespace Evacuator.NodeAgent.Containers;

/// <summary>Which directories and files of the host make up a container, and why one of them cannot be copied.</summary>
/// <param name="Trees">to copy, none inside of another, parents before children in the order of their paths</param>
/// <param name="HostPaths">to be found at the destination</param>
internal sealed record TreePlan(IReadOnlyList<TreeDescription> Trees, IReadOnlyList<string> HostPaths, IReadOnlyList<string> SharedPaths, IReadOnlyList<Blocker> Faults)
{
    /// <param name="hostMounts">mounts of the host, to find file systems of their own inside of a tree</param>
    internal static TreePlan Make(string bundle, string rootfs, OciConfig config, IReadOnlyList<MountLine> hostMounts)
    {
        List<Blocker> faults = [];
        List<string> hostPaths = [];
        string[] shared =
        [
            .. (config.Annotations.GetValueOrDefault(Annotations.SharedPaths) ?? "").Split([',', ' '], StringSplitOptions.RemoveEmptyEntries).Select(p => p.TrimEnd('/')),
        ];
        List<TreeDescription> wanted = [new(bundle, TreeKind.Bundle, ReadOnly: false), new(rootfs, TreeKind.Rootfs, ReadOnly: false)];
        foreach (OciMount mount in config.Mounts.Where(mount => mount.IsBind))
        {
            string source = SourceOf(mount, bundle);
            if (shared.Any(place => HostPlaces.IsWithin(source, place)))
                continue;
            if (HostPlaces.IsSystem(source))
                AddHostPath(source, mount, hostPaths, faults);
            else if (Classify(source, mount, faults) is { } tree)
                wanted.Add(tree);
        }

        List<TreeDescription> trees = [];
        foreach (TreeDescription tree in wanted.Where(tree => !shared.Any(place => HostPlaces.IsWithin(tree.Path, place))).OrderBy(tree => tree.Path, StringComparer.Ordinal).ThenBy(tree => tree.Kind))
            if (!trees.Any(parent => HostPlaces.IsWithin(tree.Path, parent.Path)))
                trees.Add(tree);
            else
                // What only looks as if it were inside of another would stay behind.
                CheckPath(tree, faults);
        foreach (TreeDescription tree in trees)
            CheckTree(tree, hostMounts, faults);
        return new TreePlan(trees, [.. hostPaths.Distinct()], shared, faults);
    }

    private static void AddHostPath(string source, OciMount mount, List<string> hostPaths, List<Blocker> faults)
    {
        // Device nodes are written to and yet belong to the host; a container that writes into the host's own files does not move with them.
        bool isDevice = HostPlaces.IsWithin(source, "/dev");
        if (mount.ReadOnly || isDevice)
            hostPaths.Add(source);
        else
            faults.Add(Unsupported($"its mount {mount.Destination} can write to {source}, which belongs to the host's own system; mount it read-only or keep the data elsewhere"));
    }

    private static TreeDescription? Classify(string source, OciMount mount, List<Blocker> faults)
    {
        if (!Interop.FileCalls.TryStat(source, out Interop.FileCalls.Statx stat))
        {
            faults.Add(Unsupported($"the source {source} of its mount {mount.Destination} does not exist any more; put it back or start the container without it"));
            return null;
        }
        switch (stat.Type)
        {
            case Interop.FileCalls.S_IFDIR:
                return new TreeDescription(source, TreeKind.Bind, mount.ReadOnly);
            case Interop.FileCalls.S_IFREG:
                return new TreeDescription(source, TreeKind.File, mount.ReadOnly);
            default:
                faults.Add(Unsupported(
                    $"the source {source} of its mount {mount.Destination} is a {NameOf(stat.Type)} of this host, which does not exist elsewhere; list it in the annotation {Annotations.SharedPaths} if every host has it"));
                return null;
        }
    }

    /// <summary>What a neighbour uses, by the names that it has without symbolic links: each of its trees, and each source of a mount, be it inside of one of them or not.</summary>
    internal static IReadOnlyList<TreeDescription> InUse(string bundle, OciConfig config, TreePlan plan) =>
    [
        .. plan.Trees.Concat(config.Mounts.Where(mount => mount.IsBind).Select(mount => new TreeDescription(SourceOf(mount, bundle), TreeKind.Bind, mount.ReadOnly))
                .Where(tree => !plan.SharedPaths.Any(place => HostPlaces.IsWithin(tree.Path, place))))
            .Select(tree => tree with { Path = RealPath(tree.Path) }).Distinct(),
    ];

    /// <summary>As runc takes it: from the bundle on, if it is not absolute.</summary>
    private static string SourceOf(OciMount mount, string bundle)
    {
        bool absolute = mount.Source.StartsWith('/');
        string source = absolute ? mount.Source : $"{bundle}/{mount.Source}";
        // Where ".." of an absolute path leads to only the kernel knows, for the part before it may be a link; that of another is taken away by runc.
        if (!source.Contains('\0') && !(absolute && source.Split('/').Contains("..")))
            source = Path.GetFullPath(source);
        return source.Length > 1 ? source.TrimEnd('/') : source;
    }

    private static string RealPath(string path)
    {
        // As many as the kernel follows.
        for (int links = 0; links < 40 && !path.Contains('\0') && LinkIn(path) is { } link; links++)
        {
            string target = Path.Combine(Path.GetDirectoryName(link)!, new FileInfo(link).LinkTarget ?? "");
            path = Path.GetFullPath(target + path[link.Length..]);
        }
        return path;
    }

    private static void CheckPath(TreeDescription tree, List<Blocker> faults)
    {
        if (!HostPlaces.IsPlain(tree.Path))
            faults.Add(Unsupported($"the path {tree.Path} is not a plain absolute one"));
        else if (LinkIn(tree.Path) is { } link)
            faults.Add(Unsupported($"{tree.Path} goes through the symbolic link {link}; use the real path in config.json"));
    }

    private static void CheckTree(TreeDescription tree, IReadOnlyList<MountLine> hostMounts, List<Blocker> faults)
    {
        if (!HostPlaces.IsPlain(tree.Path))
            faults.Add(Unsupported($"the path {tree.Path} is not a plain absolute one"));
        else if (HostPlaces.IsSystem(tree.Path))
            faults.Add(Unsupported($"{tree.Path} belongs to the host's own system; keep the container elsewhere"));
        else if (HostPlaces.IsTooWide(tree.Path))
            faults.Add(Unsupported($"{tree.Path} is a directory that others use too; give the container one of its own, or list it in the annotation {Annotations.SharedPaths}"));
        else if (LinkIn(tree.Path) is { } link)
            faults.Add(Unsupported($"{tree.Path} goes through the symbolic link {link}; use the real path in config.json"));
        foreach (MountLine mount in hostMounts.Where(mount => HostPlaces.IsWithin(mount.Point, tree.Path)))
            faults.Add(Unsupported($"{mount.Point} is a file system of its own ({mount.Type}), which cannot be copied as a plain directory; use a plain directory"));
    }

    /// <summary>The first symbolic link that a path goes through, itself included.</summary>
    internal static string? LinkIn(string path)
    {
        for (int end = path.IndexOf('/', 1); ; end = path.IndexOf('/', end + 1))
        {
            string part = end < 0 ? path : path[..end];
            if (Interop.FileCalls.TryStat(part, out Interop.FileCalls.Statx stat, follow: false) && stat.Type == Interop.FileCalls.S_IFLNK)
                return part;
            if (end < 0)
                return null;
        }
    }

    private static Blocker Unsupported(string text) => new(BlockerCode.UnsupportedMount, text);

    private static string NameOf(ushort type) => type switch
    {
        Interop.FileCalls.S_IFSOCK => "socket",
        Interop.FileCalls.S_IFIFO => "named pipe",
        Interop.FileCalls.S_IFBLK or Interop.FileCalls.S_IFCHR => "device",
        _ => "special file",
    };
}
