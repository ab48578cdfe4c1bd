using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network;
using Evacuator.NodeAgent.Transfer;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Migration;

/// <summary>What is sent to the container while it stands still, as far as it is the source's to keep. See <see cref="NetworkHandover.Hold"/>.</summary>
internal sealed partial class SourceMove
{
    /// <summary>For datagrams that were delivered just before the cut: longer than a program that waits for them needs to be woken, also on a busy host.</summary>
    private static readonly TimeSpan ReadingPatience = TimeSpan.FromMilliseconds(25);

    private FrameHold? _hold;
    private IReadOnlyList<HeldFrame> _held = [];
    private Task _peerHolds = Task.CompletedTask;

    /// <summary>Everything that takes time, while the container runs. Without it the move goes on: nothing but patience depends on it.</summary>
    private void PrepareHold(ContainerDescription container)
    {
        try
        {
            _hold = _tools.Network.Hold(container, atSource: true);
        }
        catch (NetworkException e)
        {
            LogNotHeld(_log, e, Name);
        }
    }

    /// <summary>The network first: what the container has been given by then it can still read and answer, and all else is held.</summary>
    private async Task CutAsync(ContainerDescription container, FreezeClock freeze, CancellationToken cancel)
    {
        _hold?.Start();
        freeze.Time("disconnect", () => _tools.Network.Disconnect(container));
        if (_hold is null)
            return;
        string process = $"{KernelPaths.Default.Proc}/{container.InitPid}";
        long cut = _tools.Time.GetTimestamp();
        while (UnreadDatagrams.Count(process) > 0 && _tools.Time.GetElapsedTime(cut) < ReadingPatience)
            await Task.Delay(TimeSpan.FromMilliseconds(1), _tools.Time, cancel);
    }

    /// <summary>It stands still and can say nothing more: from now on its frames may go to the destination.</summary>
    private void LetPeerHold(ContainerDescription container, CancellationToken cancel)
    {
        if (_hold is null)
            return;
        _tools.Network.SendLastWords(container, _hold);
        _peerHolds = HoldAsync();
        if (UnreadDatagrams.Count($"{KernelPaths.Default.Proc}/{container.InitPid}") is > 0 and var unread)
            LogUnread(_log, Name, unread);

        async Task HoldAsync()
        {
            try
            {
                await _peer.HoldAsync(cancel);
            }
            catch (Exception e) when (e is HttpRequestException or IOException or PeerRefusedException or OperationCanceledException)
            {
                LogNotHeld(_log, e, Name);
            }
        }
    }

    /// <summary>What came here before the destination was known to the switches. A copy stays for the way back.</summary>
    private async Task<IReadOnlyList<HeldFrame>> TakeHeldAsync()
    {
        await _peerHolds;
        if (_hold is null)
            return [];
        (_held, long dropped) = _hold.Take(PeerProtocol.MaxFrames);
        if (dropped > 0)
            LogNoRoom(_log, Name, dropped);
        return _held;
    }

    private void ReconnectAndThaw(ContainerDescription container)
    {
        _tools.Network.Reconnect(container);
        // Only now: until the bridge has learned its place again, some still came here alone.
        _hold?.Stop();
        _tools.Freezer.Thaw(container.CgroupPath);
    }

    /// <summary>What was held here, and what the destination held: after it runs here again.</summary>
    private async Task DeliverBackAsync(FrameHold? hold, IReadOnlyList<HeldFrame> frames)
    {
        if (Record.Description is not { } text || (hold is null && frames.Count == 0))
            return;
        try
        {
            await _tools.Network.DeliverAsync(JsonSerializer.Deserialize<ContainerDescription>(text, ApiJson.Options)!, frames, hold);
        }
        catch (NetworkException e)
        {
            LogNotHeld(_log, e, Name);
        }
    }

    /// <summary>A move is remembered long after its end, and its sockets would go on taking frames: only when nobody waits for the container, since closing them waits for the kernel.</summary>
    private void EndHold()
    {
        Interlocked.Exchange(ref _hold, null)?.Dispose();
        _held = [];
    }

    [LoggerMessage(1110, LogLevel.Warning, "{Container}: what is sent to it while it stands still is not all held; its peers send it again")]
    private static partial void LogNotHeld(ILogger log, Exception e, string container);

    [LoggerMessage(1111, LogLevel.Warning, "{Container}: {Count} frames had no room")]
    private static partial void LogNoRoom(ILogger log, string container, long count);

    [LoggerMessage(1112, LogLevel.Warning, "{Container} had not read {Bytes} bytes of datagrams when it was frozen; they are lost")]
    private static partial void LogUnread(ILogger log, string container, long bytes);
}
