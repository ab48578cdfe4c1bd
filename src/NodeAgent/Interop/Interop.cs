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

    /// <summary>A struct that the kernel reads or writes. <paramref name="type"/> is its C name, declared in <paramref name="header"/>.</summary>
    [AttributeUsage(AttributeTargets.Struct)]
    internal sealed class KernelStructAttribute(string type, string header) : Attribute
    {
        public string Type => type;

        public string Header => header;
    }

    /// <summary>Constants that have the same names in <paramref name="header"/>. <see cref="Expression"/> on a field gives the C text where the name alone is not enough.</summary>
    [AttributeUsage(AttributeTargets.Class)]
    internal sealed class KernelConstantsAttribute(string header) : Attribute
    {
        public string Header => header;
    }

    /// <summary>A constant or field whose C spelling differs from its name here.</summary>
    [AttributeUsage(AttributeTargets.Field)]
    internal sealed class KernelNameAttribute(string expression) : Attribute
    {
        public string Expression => expression;
    }

    /// <summary>A constant that no installed header declares; <paramref name="reason"/> says where it comes from and what proves it instead.</summary>
    [AttributeUsage(AttributeTargets.Field | AttributeTargets.Struct)]
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
