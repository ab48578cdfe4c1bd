using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Migration;

/// <summary>After a dump with --lazy-pages: its images become what a dump with the shim would have made, so that the destination need not know the difference.</summary>
internal sealed partial class MemoryAhead
{
    private const int SettleAttempts = 3;

    private bool LazyDump => _rung == DumpRung.LazyPages;

    /// <summary>CRIU is out of the processes, and they are frozen: their pages are read once more where it left out what was not ours.</summary>
    /// <exception cref="InvalidDataException">pages are in nobody's hands, or arrive damaged again and again</exception>
    private async Task SettleLazyAsync(string images, CancellationToken cancel)
    {
        using BatchBuffers buffers = new(2);
        Dictionary<int, ProcessMemory> known = _tracker.Memory.ToDictionary(memory => memory.Pid);
        List<(ProcessMemory Memory, LazyPagesDump.Settlement Settlement)> owed = [];
        foreach ((int pid, string path) in PagemapImage.AllIn(images))
        {
            PagemapImage image = PagemapImage.Read(await File.ReadAllBytesAsync(path, cancel));
            if (!known.TryGetValue(pid, out ProcessMemory? memory))
                throw new InvalidDataException($"CRIU dumped process {pid} of {_container}, whose memory nobody has looked at");
            LazyPagesDump.Settlement settlement = LazyPagesDump.Settle(image, memory.Owned);
            await File.WriteAllBytesAsync(path, settlement.Image.Write(), cancel);
            owed.Add((memory, settlement));
        }
        for (int attempt = 1; ; attempt++)
        {
            foreach ((ProcessMemory memory, LazyPagesDump.Settlement settlement) in owed)
            {
                PageReader reader = new(memory.HostPid, memory.Pid, buffers);
                foreach (MemoryRange range in settlement.ToDrop)
                    reader.Add(range.Start, range.End, PageRangeKind.Dropped);
                foreach (MemoryRange range in settlement.ToSend)
                    reader.Add(range.Start, range.End, PageRangeKind.Data);
                while (!reader.IsEmpty)
                    await _sender.SendAsync(reader.Read(await buffers.RentAsync(cancel)), cancel);
            }
            IReadOnlyList<DamagedPages> damaged = await _sender.EndRoundAsync(cancel);
            if (damaged.Count == 0)
                return;
            LogDamaged(_log, _container, damaged.Count);
            if (attempt == SettleAttempts)
                throw new InvalidDataException($"memory of {_container} arrives damaged again and again: check the memory of both hosts");
        }
    }
}
