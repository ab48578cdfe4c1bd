using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Migration;

/// <summary>The way out of a wait for a destination that will never answer: a person says that its host is off for good.</summary>
/// <remarks>
/// Safe as long as that host has really been without power at any time after the release: whatever it had of the container ended with it, and when it comes back its
/// agent finds the move in its journal from an earlier boot and answers Failed. That is why off, and not unreachable, is what has to be certain.
/// </remarks>
internal sealed partial class SourceMove
{
    /// <summary>A host that is up answers within this time, be it with a refusal.</summary>
    private static readonly TimeSpan AnswerTime = TimeSpan.FromSeconds(5);

    private readonly CancellationTokenSource _gone = new();
    private string _goneWord = "";

    /// <summary>Whether it waits for an answer that only the destination can give.</summary>
    public bool WaitsForPeer => Record.Phase is SourcePhase.Released or SourcePhase.Serving || (Record.Phase == SourcePhase.Freezing && Record.BootId != _tools.BootId);

    /// <summary>The destination is off and will not answer any more: the container is this host's again.</summary>
    /// <param name="word">who says so and on what ground, for the report</param>
    /// <returns>null when it is being settled; else why not</returns>
    public async Task<string?> DeclareGoneAsync(string word, CancellationToken cancel)
    {
        SourceRecord record = Record;
        if (!WaitsForPeer)
            return $"{Name} is {record.Phase}: it does not wait for {record.Request.DestinationNode}";
        try
        {
            using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            patience.CancelAfter(AnswerTime);
            PeerReply reply = await _peer.AskAsync(patience.Token);
            return $"{record.Request.DestinationNode} is not gone, its agent answers ({reply.Phase}): that answer settles it";
        }
        catch (PeerRefusedException e)
        {
            return $"{record.Request.DestinationNode} is not gone, its agent answers: {e.Message}";
        }
        catch (Exception e) when (e is HttpRequestException or IOException or JsonException or InvalidDataException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            // As it should be.
        }
        catch (ObjectDisposedException)
        {
            return $"{Name} has just been settled: it is {Record.Phase}";
        }
        _goneWord = word;
        await _gone.CancelAsync();
        return null;
    }

    /// <summary>In the loop that waits, so that there is one writer: an answer that came first has been taken first.</summary>
    private async Task AbandonPeerAsync(FreezeClock? freeze, CancellationToken shutdown)
    {
        string detail = $"{Record.Request.DestinationNode} was declared gone for good ({_goneWord}) while it had {Name}: {Name} is this host's again";
        if (Record.Phase is SourcePhase.Released or SourcePhase.Serving)
            Advance(SourceInput.PeerGone, record => record with { Detail = detail });
        else
            Advance(SourceInput.Abort, record => record with { Detail = detail });
        LogPeerGone(_log, Name, Record.Request.DestinationNode, _goneWord);
        await FinishRevertAsync(freeze, shutdown);
    }
}
