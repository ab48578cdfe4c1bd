using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Files;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Migration;

/// <summary>What arrives in bulk: trees, memory, images. Each is bounded, and all of it is over before READY.</summary>
internal sealed partial class DestinationMove
{
    private const int MaxTreeStreams = 4;

    private readonly SemaphoreSlim _trees = new(MaxTreeStreams);
    private readonly SemaphoreSlim _imagesAlone = new(1);
    private readonly Lock _imagesLock = new();
    private CancellationTokenSource? _imagesNow;

    /// <summary>3. One pass over one tree.</summary>
    public async Task ServeTreeAsync(int index, Stream peer, CancellationToken cancel)
    {
        ContainerDescription container = ReceivingContainer();
        if (index < 0 || index >= container.Trees.Count)
            throw new MoveRefusedException([new Blocker(BlockerCode.Unreadable, $"there is no tree {index} in the offer")]);
        // Looked at when it was offered; another container that fills a directory above it may have put a link there since.
        if (TreePlan.LinkIn(TargetOf(index, container)) is { } link)
            throw new InvalidDataException($"{TargetOf(index, container)} goes through the symbolic link {link}");
        using CancellationTokenSource joined = CancellationTokenSource.CreateLinkedTokenSource(cancel, _streams.Token);
        // The source copies one tree at a time; a little more, for those whose end has not been noticed yet.
        if (!_trees.Wait(0, CancellationToken.None))
            throw new MoveRefusedException([new Blocker(BlockerCode.Unreadable, $"{MaxTreeStreams} trees of this move are being copied already")]);
        using Gate slot = new(_trees);
        await TreeReceiver.ServeAsync(peer, index, TargetOf(index, container), _tools.Paths.Move(Id), News, joined.Token);
        News();
    }

    /// <summary>3. Memory ahead of the images, in rounds, until the source closes the stream; several of one sending side by side.</summary>
    public async Task ReceivePagesAsync(Stream peer, CancellationToken cancel)
    {
        ReceivingContainer();
        using CancellationTokenSource joined = CancellationTokenSource.CreateLinkedTokenSource(cancel, _streams.Token);
        if (_streams.IsCancellationRequested || !_pages.Wait(0, CancellationToken.None))
            return;
        try
        {
            await _receiver.ReceiveAsync(peer, joined.Token);
        }
        catch (OperationCanceledException) when (_streams.IsCancellationRequested)
        {
            // Complete: the stream has done its work, whether its end has arrived or not.
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            if (e is InvalidDataException)
                _refused ??= e.Message;
            LogPagesRefused(_log, e, _record.Container, _record.SourceNode);
        }
        finally
        {
            _pages.Release();
        }
    }

    /// <summary>3. The images, all of them; a second sending replaces the first.</summary>
    public async Task ReceiveImagesAsync(Stream body, CancellationToken cancel)
    {
        ReceivingContainer();
        using CancellationTokenSource joined = CancellationTokenSource.CreateLinkedTokenSource(cancel, _streams.Token);
        using ImageSending sending = new(this, joined);
        using Gate alone = await sending.AloneAsync();
        // Emptied, not made anew: a restore that is armed holds the directory.
        string directory = _tools.Paths.Images(Id);
        foreach (string file in Directory.EnumerateFiles(directory))
            File.Delete(file);
        // What came ahead is not in them.
        _images = await ImageStream.ReadAsync(body, directory, MaxImageBytes(_record) - _receiver.SharedBytes, joined.Token);
        News();
    }

    /// <summary>No memory arrives any more, and none will: a new stream finds the token cancelled.</summary>
    private async Task EndStreamsAsync()
    {
        await _streams.CancelAsync();
        for (int lane = 0; lane < PageFrame.MaxLanes; lane++)
            await _pages.WaitAsync();
        _pages.Release(PageFrame.MaxLanes);
        for (int tree = 0; tree < MaxTreeStreams; tree++)
            await _trees.WaitAsync();
        _trees.Release(MaxTreeStreams);
        await _imagesAlone.WaitAsync();
        _imagesAlone.Release();
    }

    /// <summary>A second sending of the images ends the first, which may hang on a dead connection, and waits until it is over.</summary>
    private sealed class ImageSending : IDisposable
    {
        private readonly DestinationMove _move;
        private readonly CancellationTokenSource _cancel;

        public ImageSending(DestinationMove move, CancellationTokenSource cancel)
        {
            (_move, _cancel) = (move, cancel);
            lock (move._imagesLock)
            {
                move._imagesNow?.Cancel();
                move._imagesNow = cancel;
            }
        }

        public async Task<Gate> AloneAsync()
        {
            await _move._imagesAlone.WaitAsync(_cancel.Token);
            return new Gate(_move._imagesAlone);
        }

        public void Dispose()
        {
            lock (_move._imagesLock)
                if (_move._imagesNow == _cancel)
                    _move._imagesNow = null;
        }
    }
}
