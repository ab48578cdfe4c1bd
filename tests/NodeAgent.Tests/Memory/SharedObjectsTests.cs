using System.Runtime.InteropServices;
using Evacuator.NodeAgent.Memory;
using Evacuator.Testing;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Tests.Memory;

/// <summary>What CRIU writes inside the freeze although no private mapping shows it, measured on this process.</summary>
public sealed partial class SharedObjectsTests
{
    private const int MiB = 1 << 20;

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MemfdCreate(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, SafeFileHandle file, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Unmap(nint address, nuint length);

    [RootFact]
    public void Memfd_WrittenAndNeverMapped_Counts()
    {
        using SafeFileHandle file = new(MemfdCreate("evacuator-test", 0), ownsHandle: true);
        ulong before = Open();
        RandomAccess.Write(file, new byte[3 * MiB], 0);
        // The runtime has memfds of its own, which come and go by less.
        Assert.InRange(Open() - before, 2UL * MiB, 4UL * MiB);
        RandomAccess.SetLength(file, 0);
        Assert.InRange(Open(), 0UL, before + MiB);
    }

    [RootFact]
    public void Mapping_OfSharedMemory_CountsWhatIsAllocatedAndOnce()
    {
        using SafeFileHandle file = new(MemfdCreate("evacuator-test", 0), ownsHandle: true);
        RandomAccess.SetLength(file, 8 * MiB);
        RandomAccess.Write(file, new byte[5 * MiB], 0);
        nint one = Map(0, 8 * MiB, protection: 1, flags: 1, file, 0), two = Map(0, 4 * MiB, protection: 1, flags: 1, file, 0);
        try
        {
            List<MemoryMapping> mappings = [];
            MemoryMapping.ParseAll(File.ReadAllBytes("/proc/self/maps"), mappings);
            MemoryMapping[] ours = [.. mappings.Where(mapping => (nint)mapping.Start == one || (nint)mapping.Start == two)];
            Assert.NotEmpty(ours);
            Assert.All(ours, mapping => Assert.Equal(MappingKind.SharedMemory, mapping.Kind));
            SharedObjects shared = new();
            foreach (MemoryMapping mapping in ours)
                shared.AddMapped(Environment.ProcessId, mapping);
            // Nothing of it has been touched through the mappings.
            Assert.Equal(5UL * MiB, shared.Bytes);
        }
        finally
        {
            Unmap(one, 8 * MiB);
            Unmap(two, 4 * MiB);
        }
    }

    [RootFact]
    public void Mounts_OfTmpfs_CountWhatLiesInThem()
    {
        ulong before = Mounts();
        string file = $"/dev/shm/evacuator-test-{Guid.NewGuid():N}";
        try
        {
            File.WriteAllBytes(file, new byte[64 * MiB]);
            // Others use these mounts at the same time.
            Assert.InRange(Mounts(), before + 32UL * MiB, before + 1024UL * MiB);
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static ulong Open()
    {
        SharedObjects shared = new();
        shared.AddOpen(Environment.ProcessId);
        return shared.Bytes;
    }

    private static ulong Mounts()
    {
        SharedObjects shared = new();
        shared.AddMounts(Environment.ProcessId);
        return shared.Bytes;
    }
}
