using System.Runtime.InteropServices;

namespace Evacuator.NodeAgent;

internal static unsafe partial class Interop
{
    /// <summary>liblz4, which rsync needs and every Debian has. Blocks, without a frame around them.</summary>
    public static class Lz4
    {
        /// <summary>Whether it is there.</summary>
        public static bool IsAvailable { get; } = NativeLibrary.TryLoad("liblz4.so.1", out _);

        /// <returns>bytes written; 0 if they do not fit</returns>
        public static int Compress(ReadOnlySpan<byte> from, Span<byte> to)
        {
            fixed (byte* source = from)
            fixed (byte* target = to)
                return LZ4_compress_default(source, target, from.Length, to.Length);
        }

        /// <summary>Reads and writes nothing outside of the spans, whatever the bytes are.</summary>
        /// <returns>bytes written; negative if they are not what the other makes, or do not fit</returns>
        public static int Decompress(ReadOnlySpan<byte> from, Span<byte> to)
        {
            fixed (byte* source = from)
            fixed (byte* target = to)
                return LZ4_decompress_safe(source, target, from.Length, to.Length);
        }
    }

    [LibraryImport("liblz4.so.1")]
    private static partial int LZ4_compress_default(byte* source, byte* target, int sourceSize, int targetCapacity);

    [LibraryImport("liblz4.so.1")]
    private static partial int LZ4_decompress_safe(byte* source, byte* target, int sourceSize, int targetCapacity);
}
