using System.Net;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Migration;

/// <summary>Going on with a move after a restart of the agent or of the host.</summary>
internal sealed partial class SourceMove
{
    /// <summary>Goes on with a move that an earlier life of the agent had journaled.</summary>
    public async Task RecoverAsync(CancellationToken shutdown)
    {
        LogRecovering(_log, Name, Id, Record.Phase);
        try
        {
            await GoOnAsync(shutdown);
        }
        finally
        {
            HangUp();
        }
    }

    private async Task GoOnAsync(CancellationToken shutdown)
    {
        switch (Record.Phase)
        {
            case SourcePhase.Freezing when Record.BootId != _tools.BootId:
                await AskAfterRebootAsync(shutdown);
                break;
            case SourcePhase.Accepted or SourcePhase.Copying or SourcePhase.Freezing:
                await RevertAsync("the agent was restarted before the container was released", blocker: null, freeze: null, shutdown);
                break;
            case SourcePhase.Reverting:
                await FinishRevertAsync(freeze: null, shutdown);
                break;
            case SourcePhase.Released or SourcePhase.Serving:
                await SettleAsync(freeze: null, shutdown);
                break;
            case SourcePhase.Removing:
                await RemoveAsync(shutdown);
                break;
        }
    }

    /// <summary>A power cut may have taken the last record with it: if the destination has been released, it knows.</summary>
    private async Task AskAfterRebootAsync(CancellationToken shutdown)
    {
        while (true)
        {
            shutdown.ThrowIfCancellationRequested();
            if (_gone.IsCancellationRequested)
            {
                await AbandonPeerAsync(freeze: null, shutdown);
                return;
            }
            // Linked: the agent stops; a person has declared the destination gone.
            using CancellationTokenSource asking = CancellationTokenSource.CreateLinkedTokenSource(shutdown, _gone.Token);
            try
            {
                PeerReply reply = await _peer.AskAsync(asking.Token);
                if (reply.Phase is DestinationPhase.Resuming or DestinationPhase.Running)
                {
                    Advance(SourceInput.Release, record => record with { Away = reply.Fetches, Detail = $"released to {record.Request.DestinationNode} before this host lost its power" });
                    await SettleAsync(freeze: null, shutdown);
                    return;
                }
                // Given back before it is given up here: a release that was on its way when the power went may arrive after the answer above, and then this is
                // refused (409) and the next question is answered with what runs there.
                if ((await _peer.ForgetAsync(asking.Token)).Phase == DestinationPhase.Failed)
                {
                    await RevertAsync("this host was restarted before the container was released; it is not running here", blocker: null, freeze: null, shutdown);
                    return;
                }
            }
            catch (Exception e) when (e is HttpRequestException or IOException or PeerRefusedException or JsonException || (e is OperationCanceledException && !shutdown.IsCancellationRequested))
            {
                Update(record => record with { Detail = $"this host was restarted during the freeze; asking {record.Request.DestinationNode} whether the container runs there ({e.Message})" });
            }
            await PauseAsync(TimeSpan.FromSeconds(3), shutdown);
        }
    }

    /// <summary>Before the destination is asked again; ends early when it is declared gone.</summary>
    private async Task PauseAsync(TimeSpan pause, CancellationToken shutdown)
    {
        using CancellationTokenSource waiting = CancellationTokenSource.CreateLinkedTokenSource(shutdown, _gone.Token);
        await Task.Delay(pause, _tools.Time, waiting.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        shutdown.ThrowIfCancellationRequested();
    }

    /// <summary>A refusal is no end: the destination may still be busy with what it is to forget.</summary>
    private async Task<PeerReply> ForgetAsync(CancellationToken patience)
    {
        while (true)
        {
            try
            {
                return await _peer.ForgetAsync(patience);
            }
            catch (PeerRefusedException e) when (e.Status == HttpStatusCode.Conflict)
            {
                LogForgetFailed(_log, e, Record.Request.DestinationNode);
                await Task.Delay(TimeSpan.FromSeconds(1), _tools.Time, patience);
            }
            catch (HttpRequestException) when (!_gone.IsCancellationRequested)
            {
                // An agent that is just being restarted is back in a few seconds, and what it keeps it would keep for minutes, READY even longer.
                await Task.Delay(TimeSpan.FromMilliseconds(500), _tools.Time, patience);
            }
        }
    }
}
