using System.ComponentModel;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Evacuator.NodeAgent;

/// <summary>
/// Every call into libc and the kernel, one file per call group. Structs, fields and constants keep the kernel's own names, and each carries the header that
/// declares it: a test compiles C static asserts from these definitions, so that nothing here can drift from the kernel unnoticed.
/// </summary>
internal static unsafe partial class Interop
{
    private const string LibC = "libc";

    /// <summary>The bytes of a page. Everything here is x86-64, where it is never anything else.</summary>
    public const ulong PageSize = 4096;

    /// <summary>The error of the last call declared with SetLastError, to be taken at once.</summary>
    public static int LastError => Marshal.GetLastPInvokeError();

    /// <summary>The last error as an exception whose text says which call failed on what.</summary>
    public static IOException Failure(string what, int error) => new($"{what}: {new Win32Exception(error).Message} (errno {error})", error);

    [KernelConstants("errno.h")]
    public static class Errno
    {
        public const int EPERM = 1;
        public const int ESRCH = 3;
        public const int EINTR = 4;
        public const int EIO = 5;
        public const int EBADF = 9;
        public const int ECHILD = 10;
        public const int EAGAIN = 11;
        public const int ENOMEM = 12;
        public const int EFAULT = 14;
        public const int EBUSY = 16;
        public const int EINVAL = 22;
        public const int ENOTTY = 25;
        public const int ENOSYS = 38;
    }

    /// <summary>A struct that the kernel reads or writes. <paramref name="type"/> is its C name, declared in the headers named (separated by spaces).</summary>
    [AttributeUsage(AttributeTargets.Struct)]
    internal sealed class KernelStructAttribute(string type, string headers) : Attribute
    {
        public string Type => type;

        public string Headers => headers;

        /// <summary>A macro that headers old enough not to have the struct do not have either.</summary>
        public string? Guard { get; init; }
    }

    /// <summary>Constants that have the same names in the headers.</summary>
    [AttributeUsage(AttributeTargets.Class)]
    internal sealed class KernelConstantsAttribute(string headers) : Attribute
    {
        public string Headers => headers;
    }

    /// <summary>A constant that headers older than the kernel named do not have.</summary>
    [AttributeUsage(AttributeTargets.Field)]
    internal sealed class SinceAttribute(string kernel) : Attribute
    {
        public string Kernel => kernel;
    }

    /// <summary>A constant that no header exports; <paramref name="reason"/> says where it comes from and what proves it instead.</summary>
    [AttributeUsage(AttributeTargets.Field)]
    internal sealed class KernelInternalAttribute(string reason) : Attribute
    {
        public string Reason => reason;
    }

    /// <summary>Makes the runtime bind a type's native functions and compile its methods now, not while another process stands still waiting for us.</summary>
    public static void Prepare(Type type)
    {
        const System.Reflection.BindingFlags All = System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.Instance
            | System.Reflection.BindingFlags.Public | System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.DeclaredOnly;
        foreach (var method in type.GetMethods(All))
            if (!method.IsAbstract && !method.ContainsGenericParameters)
                RuntimeHelpers.PrepareMethod(method.MethodHandle);
        foreach (var constructor in type.GetConstructors(All))
            RuntimeHelpers.PrepareMethod(constructor.MethodHandle);
    }
}
