using System.Net.Sockets;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// Whose fault it was that a move was undone, as far as that is certain: only a destination that was lost on the way, by its own fault or the link's, leaves it to another. Whatever else goes wrong,
/// the container's own memory, this host's disk, what was to be restored, would go wrong there as well, and would be one more freeze for nothing.
/// </summary>
internal sealed partial class SourceMove
{
    /// <summary>The freeze took too long, which a destination that does not answer makes any freeze do.</summary>
    private bool _ranOut;

    private Blocker? BlockerOf(Exception e) => (e as MoveRefusedException)?.Blockers.FirstOrDefault() ?? (e as ContainerException)?.Blocker ?? (IsOfTheLink(e) ? Lost(Reason(e)) : null);

    /// <summary>What the record says in the end.</summary>
    /// <param name="runs">the container was found here, and goes on</param>
    /// <param name="told">the destination answered that it has forgotten the move</param>
    /// <param name="ranOut">the freeze took too long</param>
    internal static Blocker? BlockerAtEnd(SourceRecord record, bool runs, bool told, bool ranOut) => record.Blocker switch
    {
        // What does not run here any more is nobody else's to take.
        { Code: BlockerCode.PeerUnreachable } when !runs => null,
        null when runs && ranOut && !told => Lost(record.Detail),
        var known => known,
    };

    /// <summary>The destination closed the streams itself and says why: it is neither lost, nor would another take what it refused.</summary>
    internal static SourceRecord WithRefusal(SourceRecord record, string? refused) => refused is not null && record.Blocker is null or { Code: BlockerCode.PeerUnreachable }
        ? record with { Detail = $"{record.Request.DestinationNode} took no more of its memory: {refused}", Blocker = null }
        : record;

    private static Blocker Lost(string why) => new(BlockerCode.PeerUnreachable, why);

    /// <summary>An <see cref="IOException"/> alone may as well be one of this host's disk.</summary>
    internal static bool IsOfTheLink(Exception e) => e is HttpRequestException || (e is IOException && e.GetBaseException() is SocketException);

    private string Reason(Exception e) => e switch
    {
        OperationCanceledException => _abortReason.Length > 0 ? _abortReason : "cancelled",
        MoveRefusedException refused => refused.Message,
        // What a peer says of itself ("no space left on device") reads like something of this host.
        PeerRefusedException refused when !refused.Message.StartsWith(Record.Request.DestinationNode, StringComparison.Ordinal) => $"{Record.Request.DestinationNode}: {refused.Message}",
        FileNotFoundException or DirectoryNotFoundException => $"a file of this host is missing: {e.Message}",
        HttpRequestException or IOException => $"the connection to {Record.Request.DestinationNode} failed: {e.GetBaseException().Message}",
        _ => e.Message,
    };
}
