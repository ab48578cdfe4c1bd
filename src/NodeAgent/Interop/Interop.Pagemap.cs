namespace Evacuator.NodeAgent;

internal static unsafe partial class Interop
{
    [KernelConstants("linux/fs.h")]
    public static class Pagemap
    {
        [Since("6.7")] public const ulong PAGEMAP_SCAN = 0xC0606610;
        [Since("6.7")] public const ulong PM_SCAN_WP_MATCHING = 1;
        [Since("6.7")] public const ulong PM_SCAN_CHECK_WPASYNC = 2;
        [Since("6.7")] public const ulong PAGE_IS_WPALLOWED = 1 << 0;
        [Since("6.7")] public const ulong PAGE_IS_WRITTEN = 1 << 1;
        [Since("6.7")] public const ulong PAGE_IS_FILE = 1 << 2;
        [Since("6.7")] public const ulong PAGE_IS_PRESENT = 1 << 3;
        [Since("6.7")] public const ulong PAGE_IS_SWAPPED = 1 << 4;
        [Since("6.7")] public const ulong PAGE_IS_PFNZERO = 1 << 5;

        /// <summary>Guard pages of MADV_GUARD_INSTALL, kernel 6.15: they report as swapped too, hold nothing and cannot be read.</summary>
        [Since("6.15")] public const ulong PAGE_IS_GUARD = 1 << 8;
    }

    [KernelStruct("struct pm_scan_arg", "linux/fs.h", Guard = "PAGEMAP_SCAN")]
    public struct pm_scan_arg
    {
        public ulong size;
        public ulong flags;
        public ulong start;
        public ulong end;
        public ulong walk_end;
        public ulong vec;
        public ulong vec_len;
        public ulong max_pages;
        public ulong category_inverted;
        public ulong category_mask;
        public ulong category_anyof_mask;
        public ulong return_mask;
    }

    [KernelStruct("struct page_region", "linux/fs.h", Guard = "PAGEMAP_SCAN")]
    public struct page_region
    {
        public ulong start;
        public ulong end;
        public ulong categories;
    }
}
