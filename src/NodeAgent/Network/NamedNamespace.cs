using System.Runtime.InteropServices;
using static Evacuator.NodeAgent.Interop;

namespace Evacuator.NodeAgent.Network;

/// <summary>
/// Network namespaces with a name, kept alive by a mount on a file of that name, as "ip netns" and CNI keep them.
/// </summary>
internal static class NamedNamespace
{
    private const int EINVAL = 22;
    private const int ENOENT = 2;

    /// <summary>Makes a namespace at <paramref name="path"/>, in a directory shared with all mount namespaces.</summary>
    /// <exception cref="NetworkException">the path is taken, or the kernel refused</exception>
    internal static void Create(string path)
    {
        string directory = Path.GetDirectoryName(path)!;
        if (!Directory.Exists(directory))
        {
            Directory.CreateDirectory(directory);
            // As "ip netns" makes it, whatever our umask: others list it too.
            File.SetUnixFileMode(directory, (UnixFileMode)0b111_101_101);
        }
        Share(directory);
        try
        {
            using FileStream file = new(path, FileMode.CreateNew, FileAccess.Write);
        }
        catch (IOException e)
        {
            throw new NetworkException($"cannot make the network namespace {path}: {e.Message}", 0, e, Common.AgentApi.BlockerCode.NameTaken);
        }
        try
        {
            using NetworkNamespace space = NetworkNamespace.CreateUnnamed();
            // The magic link of our own fd, so that this works from any thread.
            string source = $"/proc/{Environment.ProcessId}/fd/{space.Handle.DangerousGetHandle()}";
            if (Namespaces.Mount(source, path, "none", Namespaces.MS_BIND, 0) != 0)
                throw Failed($"mount the network namespace on {path}");
        }
        catch
        {
            File.Delete(path);
            throw;
        }
    }

    /// <summary>Whether a network namespace is mounted on the path.</summary>
    internal static bool Exists(string path)
    {
        if (!FileCalls.TryStat(path, out FileCalls.Statx own) || !FileCalls.TryStat("/proc/self/ns/net", out FileCalls.Statx reference))
            return false;
        // All namespaces live in one file system (nsfs), which nothing else lives in.
        return (own.DevMajor, own.DevMinor) == (reference.DevMajor, reference.DevMinor);
    }

    /// <summary>Takes the name away; the namespace ends with its last process. A path that is no namespace is left alone.</summary>
    internal static bool Remove(string path)
    {
        if (!File.Exists(path))
            return false;
        while (Exists(path))
            if (Namespaces.Unmount(path, Namespaces.MNT_DETACH) != 0)
                throw Failed($"unmount the network namespace {path}");
        // Only the empty file that a mount sits on is ours to delete.
        if (new FileInfo(path).Length == 0)
            File.Delete(path);
        return true;
    }

    private static void Share(string directory)
    {
        if (Namespaces.Mount("", directory, "none", Namespaces.MS_SHARED | Namespaces.MS_REC, 0) == 0)
            return;
        if (Marshal.GetLastPInvokeError() != EINVAL)
            throw Failed($"share {directory}");
        // Not a mount point yet.
        if (Namespaces.Mount(directory, directory, "none", Namespaces.MS_BIND | Namespaces.MS_REC, 0) != 0
            || Namespaces.Mount("", directory, "none", Namespaces.MS_SHARED | Namespaces.MS_REC, 0) != 0)
            throw Failed($"share {directory}");
    }

    private static NetworkException Failed(string doing)
    {
        int errno = Marshal.GetLastPInvokeError();
        return new NetworkException($"cannot {doing}: {(errno == ENOENT ? "no such file" : Marshal.GetPInvokeErrorMessage(errno))}", errno);
    }
}
