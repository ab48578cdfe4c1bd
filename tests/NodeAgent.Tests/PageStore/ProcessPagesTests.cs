using Evacuator.NodeAgent.PageStore;

namespace Evacuator.NodeAgent.Tests.PageStore;

/// <summary>Which regions of a store are made as one large page, and that it changes nothing but the time.</summary>
public sealed unsafe class ProcessPagesTests : IDisposable
{
    private const ulong Region = RegionTable.RegionBytes, Start = 64 * Region, Mebibyte = 1 << 20;

    private readonly ProcessPages _pages = ProcessPages.Create(1);

    public void Dispose() => _pages.Dispose();

    [Fact]
    public void Place_DenseMemory_EachNewRegionIsMadeWhole()
    {
        List<bool> whole = [];
        for (ulong at = Start; at < Start + 20 * Region; at += Mebibyte)
        {
            whole.Add(Arrive(at, Mebibyte));
        }

        // The first half of each, whatever the second half is.
        Assert.Equal(Enumerable.Range(0, 40).Select(half => half % 2 == 0), whole);
    }

    [Fact]
    public void Place_SparseMemory_TheStoreIsHardlyLargerThanWhatItHolds()
    {
        const ulong Piece = 512 * 1024;
        int whole = 0;
        for (ulong region = 0; region < 200; region++)
        {
            whole += Arrive(Start + region * Region, Piece) ? 1 : 0;
        }

        ulong held = 200 * Piece;
        Assert.InRange((ulong)whole * Region, 1UL, held + held / 8 + 4 * Mebibyte);
    }

    [Fact]
    public void Place_MemoryThatIsMappedHereAndThereForAWhile_LeavesLittleBehind()
    {
        const ulong Piece = 512 * 1024;
        int whole = 0;
        for (ulong region = 0; region < 200; region++)
        {
            whole += Arrive(Start + region * Region, Piece) ? 1 : 0;
            _pages.Drop(Start + region * Region, Piece);
        }

        Assert.InRange((ulong)whole * Region, 1UL, Piece + Piece / 8 + 4 * Mebibyte);
    }

    [Fact]
    public void Place_WhatArrivesDamagedAgainAndAgain_CountsOnce()
    {
        const ulong Piece = 512 * 1024;
        int whole = 0;
        for (ulong region = 0; region < 200; region++)
        {
            // Never kept: its checksum was wrong.
            _pages.Place(Start + region * Region, Piece, out bool isWhole);
            _pages.Drop(Start + region * Region, Piece);
            whole += isWhole ? 1 : 0;
        }

        Assert.InRange((ulong)whole * Region, 1UL, Piece + Piece / 8 + 4 * Mebibyte);
    }

    [Fact]
    public void Place_SmallStretch_StaysSmall()
    {
        _pages.Place(Start, 256 * 1024, out bool isWhole);

        Assert.False(isWhole);
    }

    [Fact]
    public void MakeWhole_WithBytesInIt_KeepsThem()
    {
        (nint bytes, int region, int page, int length) = _pages.Place(Start + Region / 2, Mebibyte);
        new Span<byte>((void*)bytes, length).Fill(7);

        // Where the kernel has no large page at hand nothing may be lost either.
        _ = _pages.MakeWhole(region, TimeProvider.System);

        Assert.False(new ReadOnlySpan<byte>((void*)bytes, length).ContainsAnyExcept((byte)7));
        Assert.False(new ReadOnlySpan<byte>(_pages.Locate(region, 0), page * 4096).ContainsAnyExcept((byte)0));
    }

    [Fact]
    public void MakeWhole_NewRegion_IsOneLargePageWhereTheKernelHasOne()
    {
        (nint bytes, int region, _, _) = _pages.Place(Start, Mebibyte);

        Assert.Equal(0UL, (ulong)bytes % Region);
        if (_pages.MakeWhole(region, TimeProvider.System))
            Assert.Equal((long)Region, HeldBytes());

        _pages.Release(_pages.Table.At(region).Chunk);
        Assert.Equal(0, HeldBytes());
    }

    [Fact]
    public void Release_StoreIsGone_IsNothing()
    {
        ProcessPages pages = ProcessPages.Create(2);
        (_, int region, _, _) = pages.Place(Start, Mebibyte);
        ulong chunk = pages.Table.At(region).Chunk;
        pages.Dispose();

        pages.Release(chunk);
    }

    /// <returns>whether all of its region was to be made</returns>
    private bool Arrive(ulong address, ulong length)
    {
        (_, int region, int page, int bytes) = _pages.Place(address, length, out bool isWhole);
        _pages.Keep(region, page, bytes);
        return isWhole;
    }

    /// <summary>What stands behind the store's file.</summary>
    private long HeldBytes()
    {
        using System.Diagnostics.Process stat = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("stat", ["-L", "-c", "%b", $"/proc/{Environment.ProcessId}/fd/{_pages.Data.DangerousGetHandle()}"])
        {
            RedirectStandardOutput = true,
        })!;
        return long.Parse(stat.StandardOutput.ReadToEnd(), System.Globalization.CultureInfo.InvariantCulture) * 512;
    }
}
