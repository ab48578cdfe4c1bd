using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Journal;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.Transfer;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Migration;

/// <summary>What is sent to the container before it can take anything here.</summary>
internal sealed partial class DestinationMove
{
    private FrameHold? _hold;

    /// <summary>Has done its work; closing its sockets waits for the kernel, and that waits until nobody waits for the container.</summary>
    private FrameHold? _spent;

    private IReadOnlyList<HeldFrame> _earlier = [], _returned = [];

    /// <summary>It stands still at its source: everything else here gives way, until it runs or will never.</summary>
    private IDisposable? _stands;

    private readonly CancellationTokenSource _still = new();

    /// <summary>4. The container stands still: its frames come here from now on, and are held.</summary>
    /// <exception cref="NetworkException">the kernel refused</exception>
    public async Task HoldAsync(CancellationToken cancel)
    {
        using Gate gate = await EnterAsync(cancel);
        Require(DestinationPhase.Receiving);
        StandStill();
        if (_hold is null)
        {
            _hold = _tools.Network.Hold(_container!, atSource: false);
            _hold?.Start();
        }
        _hold?.Announce();
        ConfirmEarly();
    }

    private void StandStill()
    {
        if (_stands is not null)
            return;
        _stands = _tools.Urgent.Enter();
        _still.Cancel();
    }

    /// <summary>What was held when the move was forgotten; once.</summary>
    public IReadOnlyList<HeldFrame> TakeReturned() => Interlocked.Exchange(ref _returned, []);

    private void AcceptHeld(IReadOnlyList<HeldFrame>? frames)
    {
        _earlier = frames ?? [];
        // Once more, should a switch have missed the first; never later, when the container may be the source's again.
        _hold?.Announce();
    }

    private void Connect(ContainerDescription container)
    {
        _tools.Network.Connect(container);
        _connected = true;
        // Only now: until the bridge has learned the container's place, some still came here alone.
        _hold?.Stop();
    }

    /// <summary>It is this node's already, and would stand still for ever if its network kept it from being thawed.</summary>
    private void ConnectAfterAll(ContainerDescription container)
    {
        try
        {
            Connect(container);
        }
        catch (NetworkException e)
        {
            _record = _record with { Detail = $"{container.Name} runs on {Environment.MachineName}, but its network could not be connected: {e.Message}" };
            LogNotConnected(_log, e, container.Name);
        }
    }

    private async Task DeliverHeldAsync(ContainerDescription container)
    {
        try
        {
            if (_hold is not null || _earlier.Count > 0)
                await _tools.Network.DeliverAsync(container, _earlier, _hold);
        }
        catch (NetworkException e)
        {
            // They are sent again by whoever misses an answer; the container runs.
            LogNotDelivered(_log, e, container.Name);
        }
        (_spent, _hold, _earlier) = (_hold ?? _spent, null, []);
    }

    private void KeepToReturn()
    {
        if (_hold is null)
            return;
        _hold.Stop();
        (_returned, long dropped) = _hold.Take(PeerProtocol.MaxFrames);
        if (dropped > 0)
            LogNotReturned(_log, _record.Container, dropped);
        EndHold();
    }

    private void EndHold()
    {
        _hold?.Dispose();
        _spent?.Dispose();
        (_hold, _spent) = (null, null);
    }

    [LoggerMessage(1210, LogLevel.Warning, "{Container}: frames that came while it stood still could not be delivered")]
    private static partial void LogNotDelivered(ILogger log, Exception e, string container);

    [LoggerMessage(1217, LogLevel.Error, "{Container} runs here, but its network could not be connected")]
    private static partial void LogNotConnected(ILogger log, Exception e, string container);

    [LoggerMessage(1211, LogLevel.Warning, "{Container}: {Count} frames that came for it had no room and do not go back")]
    private static partial void LogNotReturned(ILogger log, string container, long count);
}
