using Evacuator.NodeAgent.Memory;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Tests.Memory;

/// <summary>What a destination would hold: built from batches alone, compared with the real memory byte by byte.</summary>
internal sealed class ShadowMemory
{
    private const int Page = 4096;
    private readonly Dictionary<int, SortedDictionary<ulong, byte[]>> _processes = [];

    public ulong BytesReceived { get; private set; }

    public async Task ReceiveAsync(IAsyncEnumerable<PageBatch> round)
    {
        await foreach (PageBatch batch in round)
            using (batch)
                Apply(batch);
    }

    private void Apply(PageBatch batch)
    {
        Assert.Equal(Crc32C.Compute(batch.Data.Span), batch.Checksum);
        if (!_processes.TryGetValue(batch.Pid, out SortedDictionary<ulong, byte[]>? pages))
            _processes[batch.Pid] = pages = [];
        ReadOnlySpan<byte> data = batch.Data.Span;
        ulong last = 0;
        foreach (PageRange range in batch.Ranges)
        {
            Assert.True(range.Length > 0 && range.Address % Page == 0 && range.Length % Page == 0, $"range {range} is not whole pages");
            Assert.True(range.Address >= last, "ranges overlap or are out of order");
            last = range.End;
            if (range.Kind == PageRangeKind.Data)
            {
                for (ulong address = range.Address; address < range.End; address += Page)
                {
                    pages[address] = data[..Page].ToArray();
                    data = data[Page..];
                }
                BytesReceived += range.Length;
            }
            else if (range.Length / Page > (ulong)pages.Count)
            {
                foreach (ulong address in pages.Keys.Where(address => address >= range.Address && address < range.End).ToArray())
                    pages.Remove(address);
            }
            else
            {
                for (ulong address = range.Address; address < range.End; address += Page)
                    pages.Remove(address);
            }
        }
        Assert.True(data.IsEmpty, "bytes beyond the ranges");
    }

    /// <summary>All owned memory of frozen processes must be equal here and there, nothing may be stored outside of it, and every anonymous mapping must be owned. Returns the bytes compared.</summary>
    public ulong AssertEqual(ContainerTracker tracker, IEnumerable<int> pids)
    {
        ulong compared = 0;
        IReadOnlyList<ProcessMemory> memory = tracker.Memory;
        Assert.Equal([.. pids.Where(pid => ProcessStatus.Read(pid) is { IsZombie: false })], memory.Select(process => process.HostPid).Order());
        foreach (ProcessMemory process in memory)
        {
            SortedDictionary<ulong, byte[]> pages = _processes.GetValueOrDefault(process.Pid) ?? [];
            HashSet<ulong> stored = [.. process.Stored.SelectMany(range => Pages(range.Start, range.End))];
            Assert.True(stored.SetEquals(pages.Keys), $"process {process.Pid}: tracker says {stored.Count} pages are stored, the store has {pages.Count}");
            AssertOwnsAnonymousMappings(process, tracker);
            using SafeFileHandle real = File.OpenHandle($"/proc/{process.HostPid}/mem");
            byte[] buffer = new byte[1 << 20], zero = new byte[Page];
            HashSet<ulong> seen = [];
            foreach (MemoryRange range in process.Owned)
            {
                for (ulong address = range.Start; address < range.End; address += (ulong)buffer.Length)
                {
                    int length = (int)Math.Min((ulong)buffer.Length, range.End - address);
                    int read = 0;
                    while (read < length)
                    {
                        int n = 0;
                        try { n = RandomAccess.Read(real, buffer.AsSpan(read, length - read), (long)address + read); }
                        catch (IOException) { /* a page that nobody can read, a guard, holds nothing */ }
                        if (n <= 0)
                        {
                            int page = Page - read % Page;
                            buffer.AsSpan(read, page).Clear();
                            n = page;
                        }
                        read += n;
                    }
                    for (int at = 0; at < length; at += Page)
                    {
                        byte[] expected = pages.GetValueOrDefault(address + (ulong)at) ?? zero;
                        if (!buffer.AsSpan(at, Page).SequenceEqual(expected))
                            Assert.Fail($"process {process.Pid}: page {address + (ulong)at:x} in {range} differs; the store {(ReferenceEquals(expected, zero) ? "does not have it" : "has an older one")}\n{DescribePage(process.HostPid, address + (ulong)at)}");
                        seen.Add(address + (ulong)at);
                        compared += Page;
                    }
                }
            }
            Assert.True(pages.Keys.All(seen.Contains), "pages are stored outside of owned mappings");
        }
        return compared;
    }

    private static void AssertOwnsAnonymousMappings(ProcessMemory process, ContainerTracker tracker)
    {
        if (tracker.Processes.First(p => p.HostPid == process.HostPid).WhyUntracked?.StartsWith("shares", StringComparison.Ordinal) == true)
            return;
        List<MemoryMapping> mappings = [];
        MemoryMapping.ParseAll(ProcFiles.Read($"/proc/{process.HostPid}/maps"), mappings);
        HashSet<ulong> locked = MemoryMapping.ParseLocked(ProcFiles.Read($"/proc/{process.HostPid}/smaps"));
        foreach (MemoryMapping mapping in mappings.Where(mapping => mapping.Kind == MappingKind.PrivateAnonymous && !locked.Contains(mapping.Start)))
            Assert.True(process.Owned.Any(range => range.Start <= mapping.Start && range.End >= mapping.End), $"{mapping} is not owned");
    }

    private static string DescribePage(int pid, ulong address)
    {
        using FileStream pagemap = File.OpenRead($"/proc/{pid}/pagemap");
        pagemap.Position = (long)(address / Page * 8);
        Span<byte> entry = stackalloc byte[8];
        pagemap.ReadExactly(entry);
        return $"pagemap {BitConverter.ToUInt64(entry):x}\n" + string.Join('\n', File.ReadLines($"/proc/{pid}/maps").Where(line =>
            ulong.Parse(line[..line.IndexOf('-')], System.Globalization.NumberStyles.HexNumber) <= address && ulong.Parse(line[(line.IndexOf('-') + 1)..line.IndexOf(' ')], System.Globalization.NumberStyles.HexNumber) > address));
    }

    private static IEnumerable<ulong> Pages(ulong start, ulong end)
    {
        for (ulong address = start; address < end; address += Page)
            yield return address;
    }
}
