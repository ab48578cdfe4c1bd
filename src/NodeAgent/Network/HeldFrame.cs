namespace Evacuator.NodeAgent.Network;

/// <summary>A frame that waits for a container that stands still.</summary>
/// <param name="Link">position of the interface among the container's</param>
/// <param name="Bytes">struct virtio_net_hdr (10 bytes: what is left to an offload, such as a checksum), then the Ethernet frame</param>
internal sealed record HeldFrame(int Link, byte[] Bytes)
{
    internal const int HeaderLength = 10;

    /// <summary>The largest that a device hands over: 64 KiB of segments to be cut by the hardware, and the headers.</summary>
    internal const int MaxLength = HeaderLength + 14 + 4 + 65536;

    /// <summary>Whether a frame of a peer can be passed to the kernel as it is.</summary>
    internal bool IsUsable(int links) => Link >= 0 && Link < links && Bytes is { Length: > HeaderLength + 14 and <= MaxLength };
}

/// <summary>What became of the frames that came while a container stood still.</summary>
/// <param name="Delivered">handed to it afterwards</param>
/// <param name="Dropped">beyond the bound, or refused by the kernel</param>
internal readonly record struct HeldCount(int Delivered, long Dropped);
