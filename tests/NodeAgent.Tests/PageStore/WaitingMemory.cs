using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Tests.PageStore;

/// <summary>Fresh memory whose every first touch asks a userfaultfd, as CRIU sets it up.</summary>
internal sealed unsafe partial class WaitingMemory : IDisposable
{
    private const ulong PageBytes = 4096;

    private readonly nuint _bytes;
    private SafeFileHandle? _descriptor;

    /// <param name="split">page at which a second mapping begins; 0 for one mapping</param>
    public WaitingMemory(int pages, int split = 0)
    {
        _bytes = (nuint)pages * (nuint)PageBytes;
        Address = (ulong)Map(null, _bytes, 3, 0x22, -1, 0);
        // Another protection makes the kernel keep two mappings.
        if (split > 0)
            Assert.Equal(0, Protect((void*)(Address + (ulong)split * PageBytes), _bytes - (nuint)split * (nuint)PageBytes, 1));
        _descriptor = new SafeFileHandle((int)SystemCall(323, 0x80800), ownsHandle: true);
        // FORK needs a privilege that a test should not have to have: REMAP, REMOVE and UNMAP.
        Interop.uffdio_api api = new() { api = Interop.UserFault.UFFD_API, features = 1 << 2 | 1 << 3 | 1 << 6 };
        Assert.Equal(0, Interop.IoControl(_descriptor, Interop.UserFault.UFFDIO_API, &api));
        Interop.uffdio_register register = new() { range = new Interop.uffdio_range { start = Address, len = _bytes }, mode = 1 };
        Assert.Equal(0, Interop.IoControl(_descriptor, Interop.UserFault.UFFDIO_REGISTER, &register));
    }

    public ulong Address { get; }

    public SafeFileHandle TakeDescriptor() => Interlocked.Exchange(ref _descriptor, null)!;

    public void Dispose()
    {
        _descriptor?.Dispose();
        _ = Unmap((void*)Address, _bytes);
    }

    /// <summary>By libc: a thread that waits for a page inside managed code would hold up the garbage collector, and with it whoever brings the page.</summary>
    public static byte[] Read(ulong address)
    {
        byte[] page = new byte[PageBytes];
        fixed (byte* to = page)
            _ = Copy(to, (void*)address, (nuint)PageBytes);
        return page;
    }

    /// <summary>MADV_DONTNEED; 0 when it worked.</summary>
    public static int Drop(ulong address, ulong length) => Advise((void*)address, (nuint)length, 4);

    [LibraryImport("libc", EntryPoint = "memcpy")]
    private static partial void* Copy(void* to, void* from, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial void* Map(void* address, nuint length, int protection, int flags, int file, long offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int Protect(void* address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial long SystemCall(long number, long argument);
}
