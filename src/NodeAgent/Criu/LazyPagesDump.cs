using Evacuator.NodeAgent.Memory;

namespace Evacuator.NodeAgent.Criu;

/// <summary>
/// A dump with CRIU's own --lazy-pages, for where the shim does not work: CRIU walks all memory, writes nothing of what can be restored later, and offers it on a TCP
/// port. Nobody asks for it, since the destination has it already; but CRIU ends only when somebody has connected and hung up (criu/cr-dump.c, cr_lazy_mem_dump).
/// </summary>
/// <remarks>
/// Asked by runc, CRIU listens on all addresses of the host, whatever --page-server says (criu/cr-service.c takes only the port), and gives the container's memory to
/// the first that connects. So it runs in a network namespace of its own, where nobody is. Who connects is a child of the same unit: an agent that is killed in
/// between must not leave CRIU waiting, with the container's tasks in its hands.
/// </remarks>
internal static class LazyPagesDump
{
    private const string Port = "7000";

    /// <summary>The dump writes a byte there when it listens.</summary>
    public const string StatusDescriptor = "8";

    // What is preloaded into CRIU is not for the tools around it: criu-quick.so takes itself out of the environment of whatever is executed by a search of PATH.
    private const string Outside =
        """
        preload=$LD_PRELOAD; unset LD_PRELOAD
        exec unshare --net /bin/sh -c "$1" sh "$preload" "$2" "$@"
        """;

    // head ends without a byte when the dump ends without having listened, and then nobody answers socat.
    private const string Inside =
        """
        ip link set lo up || exit 122
        rm -f "$2" && mkfifo -m 600 "$2" || exit 122
        ( head -c 1 < "$2" > /dev/null; exec socat -u /dev/null TCP4:127.0.0.1:
        """ + Port + """
         ) > /dev/null 2>&1 &
        export LD_PRELOAD="$1"
        fifo=$2
        shift 4
        "$@" 8> "$fifo"
        status=$?
        unset LD_PRELOAD
        wait
        exit $status
        """;

    public static IReadOnlyList<string> RuncOptions { get; } = ["--lazy-pages", "--page-server", $"127.0.0.1:{Port}", "--status-fd", StatusDescriptor];

    public static IReadOnlyList<string> CriuOptions { get; } = ["--lazy-pages", "--address", "127.0.0.1", "--port", Port, "--status-fd", StatusDescriptor];

    /// <param name="fifo">path in a directory of the dump's own</param>
    /// <param name="command">runc or criu, with the options above</param>
    public static IReadOnlyList<string> Wrap(string fifo, IReadOnlyList<string> command) => ["/bin/sh", "-c", Outside, "sh", Inside, fifo, .. command];

    /// <summary>What became of one process's memory in such a dump.</summary>
    /// <param name="Image">the same image without what is not in it: as a dump with the shim leaves it</param>
    /// <param name="ToSend">pages that CRIU has left out and the engine does not own (the first thread's stack): nobody has them yet</param>
    /// <param name="ToDrop">pages that CRIU has written although the engine owns them (those with a stack pointer): the image's are restored</param>
    internal sealed record Settlement(PagemapImage Image, IReadOnlyList<MemoryRange> ToSend, IReadOnlyList<MemoryRange> ToDrop);

    /// <param name="owned">mappings whose pages travel with the engine, all of them: what is not sent of them is zero</param>
    public static Settlement Settle(PagemapImage image, IReadOnlyList<MemoryRange> owned)
    {
        RangeSet left = new(), written = new();
        foreach (PagemapEntry entry in image.Entries)
            ((entry.Flags & PagemapEntry.Present) == 0 ? left : written).Append(new MemoryRange(entry.Address, entry.End));
        RangeSet ours = new();
        foreach (MemoryRange range in owned)
            ours.Append(range);
        return new Settlement(image.OnlyPresent(), RangeSet.Subtract(left, ours).Ranges.ToArray(), RangeSet.Intersect(written, ours).Ranges.ToArray());
    }
}
