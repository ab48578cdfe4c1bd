using Microsoft.Win32.SafeHandles;
using static Evacuator.NodeAgent.Interop;

namespace Evacuator.NodeAgent.Memory.Mappings;

/// <summary>One mapping of our own for each flag that a container's mapping may have, as far as this kernel and our limits let us. Gone with it.</summary>
internal sealed unsafe class SampleMappings : IDisposable
{
    private readonly List<nint> _made = [];
    private SafeFileHandle? _userFault;

    private SampleMappings()
    {
    }

    public static SampleMappings Make()
    {
        SampleMappings samples = new();
        foreach (int advice in (int[])
        [
            Mapping.MADV_RANDOM, Mapping.MADV_SEQUENTIAL, Mapping.MADV_DONTFORK, Mapping.MADV_MERGEABLE, Mapping.MADV_HUGEPAGE, Mapping.MADV_NOHUGEPAGE,
            Mapping.MADV_DONTDUMP, Mapping.MADV_WIPEONFORK,
        ])
            // What the kernel was built without is refused, and no container has it either.
            _ = samples.Map(Mapping.MAP_PRIVATE) is var place and not 0 ? Advise((void*)place, (nuint)PageSize, advice) : 0;
        _ = samples.Map(Mapping.MAP_PRIVATE | Mapping.MAP_LOCKED);
        _ = samples.Map(Mapping.MAP_PRIVATE | Mapping.MAP_GROWSDOWN);
        _ = samples.Map(Mapping.MAP_PRIVATE | Mapping.MAP_NORESERVE);
        _ = samples.Map(Mapping.MAP_SHARED);
        samples.Track(samples.Map(Mapping.MAP_PRIVATE));
        return samples;
    }

    public void Dispose()
    {
        _userFault?.Dispose();
        foreach (nint place in _made)
            _ = UnmapFile((void*)place, (nuint)PageSize);
    }

    /// <returns>0 if it is refused</returns>
    private nint Map(int flags)
    {
        nint place = MapAnonymous((nuint)PageSize, FileMemory.PROT_READ | FileMemory.PROT_WRITE, flags);
        if (place != 0)
            _made.Add(place);
        return place;
    }

    /// <summary>As the tracker registers the mappings of a container.</summary>
    private void Track(nint place)
    {
        _userFault = place == 0 ? null : UserFaultOpen(OpenFlag.O_CLOEXEC | OpenFlag.O_NONBLOCK | UserFault.UFFD_USER_MODE_ONLY);
        if (_userFault is null)
            return;
        uffdio_api api = new() { api = UserFault.UFFD_API, features = UserFault.UFFD_FEATURE_PAGEFAULT_FLAG_WP | UserFault.UFFD_FEATURE_WP_UNPOPULATED | UserFault.UFFD_FEATURE_WP_ASYNC };
        uffdio_register register = new() { range = new uffdio_range { start = (ulong)place, len = PageSize }, mode = UserFault.UFFDIO_REGISTER_MODE_WP };
        if (IoControl(_userFault, UserFault.UFFDIO_API, &api) >= 0)
            _ = IoControl(_userFault, UserFault.UFFDIO_REGISTER, &register);
    }
}
