using System.Security.Cryptography;

namespace Evacuator.NodeAgent.Memory;

/// <summary>
/// Tells whether a page is the one that was sent, without keeping the page: GMAC under a key that is made for one container's move and never leaves this process, nor do the tags.
/// </summary>
/// <remarks>
/// GHASH with a secret key is a universal hash: whatever two pages somebody chooses who knows neither the key nor a tag, they have the same tag with a probability of at most 2^-115, for the 64 KiB that are compared at a time.
/// A container that writes its own pages knows neither, so no content of its choosing passes for another. The same nonce for all, forbidden where tags are shown, changes nothing here.
/// For one thread at a time.
/// </remarks>
internal sealed class PageTag(byte[] key) : IDisposable
{
    public const int KeyBytes = 16;
    private const int NonceBytes = 12, TagBytes = 16;

    private static readonly byte[] s_nonce = new byte[NonceBytes];
    private readonly AesGcm _cipher = new(key, TagBytes);

    public UInt128 Of(ReadOnlySpan<byte> page)
    {
        Span<byte> tag = stackalloc byte[TagBytes];
        _cipher.Encrypt(s_nonce, [], [], tag, page);
        return System.Buffers.Binary.BinaryPrimitives.ReadUInt128LittleEndian(tag);
    }

    public void Dispose() => _cipher.Dispose();
}
