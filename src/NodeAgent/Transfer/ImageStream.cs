using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Evacuator.NodeAgent.Memory;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// A directory of image files as one stream, little endian:
/// <code>
/// u32 magic "EVIM"  u16 version 1  u16 zero
/// a file:  u16 length of name (1..255)  name, UTF-8, no '/'   u64 length  bytes  u32 CRC-32C of the bytes
/// end:     u16 0   u32 number of files
/// </code>
/// Symbolic links and folders do not occur in what CRIU writes and are refused.
/// </summary>
internal static class ImageStream
{
    private const uint Magic = 0x4D495645; // "EVIM"
    private const ushort Version = 1;
    private const int BufferSize = 1 << 20;
    private const int MaxFiles = 100_000;

    /// <returns>files and bytes written</returns>
    public static async Task<(int Files, long Bytes)> WriteAsync(string directory, Stream stream, CancellationToken cancel)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        try
        {
            BinaryPrimitives.WriteUInt32LittleEndian(buffer, Magic);
            BinaryPrimitives.WriteUInt16LittleEndian(buffer.AsSpan(4), Version);
            BinaryPrimitives.WriteUInt16LittleEndian(buffer.AsSpan(6), 0);
            await stream.WriteAsync(buffer.AsMemory(0, 8), cancel);
            int files = 0;
            long total = 0;
            foreach (FileInfo file in new DirectoryInfo(directory).EnumerateFiles().OrderBy(file => file.Name, StringComparer.Ordinal))
            {
                int name = Encoding.UTF8.GetBytes(file.Name, buffer.AsSpan(2));
                BinaryPrimitives.WriteUInt16LittleEndian(buffer, checked((ushort)name));
                await using FileStream input = new(file.FullName, FileMode.Open, FileAccess.Read, FileShare.Read, 0, FileOptions.SequentialScan);
                long length = input.Length;
                BinaryPrimitives.WriteInt64LittleEndian(buffer.AsSpan(2 + name), length);
                await stream.WriteAsync(buffer.AsMemory(0, 2 + name + 8), cancel);
                uint crc = 0;
                for (long left = length; left > 0;)
                {
                    int read = await input.ReadAsync(buffer.AsMemory(0, (int)Math.Min(left, BufferSize)), cancel);
                    if (read == 0)
                        throw new IOException($"{file.FullName} became shorter while it was sent");
                    crc = Crc32C.Append(crc, buffer.AsSpan(0, read));
                    await stream.WriteAsync(buffer.AsMemory(0, read), cancel);
                    left -= read;
                }
                BinaryPrimitives.WriteUInt32LittleEndian(buffer, crc);
                await stream.WriteAsync(buffer.AsMemory(0, 4), cancel);
                files++;
                total += length;
            }
            BinaryPrimitives.WriteUInt16LittleEndian(buffer, 0);
            BinaryPrimitives.WriteInt32LittleEndian(buffer.AsSpan(2), files);
            await stream.WriteAsync(buffer.AsMemory(0, 6), cancel);
            await stream.FlushAsync(cancel);
            return (files, total);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Reads a whole stream into an empty directory.</summary>
    /// <param name="maxBytes">more than this is refused before it is written</param>
    /// <returns>files and bytes read</returns>
    /// <exception cref="InvalidDataException">the stream is not what this class writes, is damaged, or is too large</exception>
    public static async Task<(int Files, long Bytes)> ReadAsync(Stream stream, string directory, long maxBytes, CancellationToken cancel)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        try
        {
            await stream.ReadExactlyAsync(buffer.AsMemory(0, 8), cancel);
            if (BinaryPrimitives.ReadUInt32LittleEndian(buffer) != Magic)
                throw new InvalidDataException("not an image stream");
            ushort version = BinaryPrimitives.ReadUInt16LittleEndian(buffer.AsSpan(4));
            if (version != Version)
                throw new InvalidDataException($"image stream of version {version}, this program reads {Version}");
            int files = 0;
            long total = 0;
            while (true)
            {
                await stream.ReadExactlyAsync(buffer.AsMemory(0, 2), cancel);
                int nameLength = BinaryPrimitives.ReadUInt16LittleEndian(buffer);
                if (nameLength == 0)
                    break;
                if (nameLength > 255)
                    throw new InvalidDataException($"file name of {nameLength} bytes in the image stream");
                await stream.ReadExactlyAsync(buffer.AsMemory(0, nameLength + 8), cancel);
                string name = Encoding.UTF8.GetString(buffer, 0, nameLength);
                if (name is "." or ".." || name.AsSpan().IndexOfAny('/', '\0') >= 0)
                    throw new InvalidDataException($"file name \"{name}\" in the image stream");
                long length = BinaryPrimitives.ReadInt64LittleEndian(buffer.AsSpan(nameLength));
                if (length < 0 || length > maxBytes - total)
                    throw new InvalidDataException($"images are larger than the {maxBytes >> 20} MiB that were reserved for them");
                if (++files > MaxFiles)
                    throw new InvalidDataException($"more than {MaxFiles} files in the image stream");
                await using FileStream output = new(Path.Combine(directory, name), new FileStreamOptions
                {
                    Mode = FileMode.CreateNew,
                    Access = FileAccess.Write,
                    BufferSize = 0,
                    UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
                });
                uint crc = 0;
                for (long left = length; left > 0;)
                {
                    int read = await stream.ReadAsync(buffer.AsMemory(0, (int)Math.Min(left, BufferSize)), cancel);
                    if (read == 0)
                        throw new EndOfStreamException($"the image stream ended inside {name}");
                    crc = Crc32C.Append(crc, buffer.AsSpan(0, read));
                    await output.WriteAsync(buffer.AsMemory(0, read), cancel);
                    left -= read;
                }
                await stream.ReadExactlyAsync(buffer.AsMemory(0, 4), cancel);
                if (BinaryPrimitives.ReadUInt32LittleEndian(buffer) != crc)
                    throw new InvalidDataException($"{name} was damaged on its way");
                total += length;
            }
            await stream.ReadExactlyAsync(buffer.AsMemory(0, 4), cancel);
            int announced = BinaryPrimitives.ReadInt32LittleEndian(buffer);
            return announced == files ? (files, total) : throw new InvalidDataException($"{files} files arrived, {announced} were sent");
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
