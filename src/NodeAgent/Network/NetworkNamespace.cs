using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Evacuator.NodeAgent.Network.Netlink;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Network;

/// <summary>
/// An open network namespace. Work inside of it runs on a thread of its own that ends afterwards: a thread that entered a foreign
/// namespace never goes back to the pool, where it would quietly do other work in the wrong network. Owns its fd.
/// </summary>
internal sealed class NetworkNamespace : IDisposable
{
    private readonly SafeFileHandle _handle;

    private NetworkNamespace(SafeFileHandle handle, string name)
    {
        _handle = handle;
        Name = name;
    }

    /// <summary>Its path, for messages.</summary>
    internal string Name { get; }

    internal SafeFileHandle Handle => _handle;

    /// <exception cref="NetworkException">there is no such namespace</exception>
    internal static NetworkNamespace Open(string path)
    {
        try
        {
            return new NetworkNamespace(File.OpenHandle(path), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new NetworkException($"cannot open the network namespace {path}: {e.Message}", 0, e);
        }
    }

    /// <summary>Makes a namespace that lives as long as this object (and whatever else opens or mounts it).</summary>
    internal static NetworkNamespace CreateUnnamed() => OnOwnThread(() =>
    {
        if (Interop.Namespaces.Unshare(Interop.Namespaces.CLONE_NEWNET) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            throw new NetworkException($"cannot make a network namespace: {Marshal.GetPInvokeErrorMessage(errno)}", errno);
        }
        return Open($"/proc/self/task/{Interop.Namespaces.GetTid()}/ns/net");
    });

    /// <summary>Runs <paramref name="work"/> inside of the namespace and waits for it.</summary>
    internal T Run<T>(Func<T> work) => OnOwnThread(() =>
    {
        if (Interop.Namespaces.SetNs(_handle, Interop.Namespaces.CLONE_NEWNET) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            throw new NetworkException($"cannot enter the network namespace {Name}: {Marshal.GetPInvokeErrorMessage(errno)}", errno);
        }
        return work();
    });

    /// <summary>A routing socket that speaks of this namespace, usable from any thread.</summary>
    internal RouteSocket OpenRoutes() => Run(RouteSocket.Open);

    public void Dispose() => _handle.Dispose();

    private static T OnOwnThread<T>(Func<T> work)
    {
        T result = default!;
        ExceptionDispatchInfo? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                result = work();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        })
        { IsBackground = true, Name = "netns" };
        thread.Start();
        thread.Join();
        failure?.Throw();
        return result;
    }
}
