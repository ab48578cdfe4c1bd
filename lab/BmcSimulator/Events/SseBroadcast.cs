using System.Text;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Events;

/// <summary>
/// Hands events to the open streams, in the form that OpenBMC sends: an id that counts from 1 with the service, and the JSON
/// over many <c>data:</c> lines. The last events are kept for clients that come back with Last-Event-ID.
/// </summary>
internal sealed class SseBroadcast
{
    private const int Kept = 200;
    private const int StreamLimit = 10;

    private readonly Lock _lock = new();
    private readonly List<Channel<byte[]>> _streams = [];
    private readonly Queue<(string Id, byte[] Frame)> _recent = new();
    private TaskCompletionSource _changed = NewSignal();

    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _streams.Count;
            }
        }
    }

    public void Send(string id, JsonObject payload)
    {
        byte[] frame = Frame(id, payload);
        lock (_lock)
        {
            _recent.Enqueue((id, frame));
            if (_recent.Count > Kept)
            {
                _recent.Dequeue();
            }

            foreach (Channel<byte[]> stream in _streams.Where(stream => !stream.Writer.TryWrite(frame)).ToList())
            {
                // A client that does not read loses its stream; it will come back with its last id.
                stream.Writer.TryComplete();
                _streams.Remove(stream);
            }
        }
    }

    /// <summary>Nothing is left to replay.</summary>
    public void Forget()
    {
        lock (_lock)
        {
            _recent.Clear();
        }
    }

    /// <summary>A new stream that starts after the given id where that is still known, or null where there are too many.</summary>
    public Channel<byte[]>? Open(string? lastEventId)
    {
        var stream = Channel.CreateBounded<byte[]>(new BoundedChannelOptions(Kept * 8) { SingleReader = true });
        lock (_lock)
        {
            if (_streams.Count >= StreamLimit)
            {
                return null;
            }

            if (_recent.Any(recent => recent.Id == lastEventId))
            {
                foreach ((string _, byte[] frame) in _recent.SkipWhile(recent => recent.Id != lastEventId).Skip(1))
                {
                    stream.Writer.TryWrite(frame);
                }
            }

            _streams.Add(stream);
            _changed.TrySetResult();
            _changed = NewSignal();
        }

        return stream;
    }

    public void Close(Channel<byte[]> stream)
    {
        lock (_lock)
        {
            _streams.Remove(stream);
            _changed.TrySetResult();
            _changed = NewSignal();
        }
    }

    /// <summary>Completes when exactly so many streams are open.</summary>
    public async Task WhenCountIsAsync(int count, CancellationToken token)
    {
        while (true)
        {
            Task changed;
            lock (_lock)
            {
                if (_streams.Count == count)
                {
                    return;
                }

                changed = _changed.Task;
            }

            await changed.WaitAsync(token);
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static byte[] Frame(string id, JsonObject payload)
    {
        var text = new StringBuilder().Append("id: ").Append(id).Append('\n');
        foreach (string line in JsonText.Text(payload).Split('\n'))
        {
            text.Append("data: ").Append(line).Append('\n');
        }

        return Encoding.UTF8.GetBytes(text.Append('\n').ToString());
    }
}
