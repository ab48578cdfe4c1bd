using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Events;

/// <summary>
/// Between the BMC, which may send a thousand events in a second, and one reader: drops what was delivered before, merges what is alike and still waits,
/// and turns what does not fit into one resync. Bounded in every direction; never blocks who offers.
/// </summary>
internal sealed class EventFunnel(TimeProvider time)
{
    /// <summary>Events that wait at most.</summary>
    public const int Capacity = 256;

    private const int Remembered = 4096;
    private const int MaxTouched = 64;

    /// <summary>How long a second delivery is recognised: services retry for some minutes.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(10);

    private readonly Lock _lock = new();
    private readonly LinkedList<BmcEvent> _waiting = new();
    private readonly Dictionary<string, LinkedListNode<BmcEvent>> _alike = [];
    private readonly Dictionary<ulong, long> _seen = [];
    private readonly Queue<(ulong Identity, long At)> _seenOrder = new();

    // One token says "look": more would only wake the reader for nothing.
    private readonly Channel<bool> _signal = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    private LinkedListNode<BmcEvent>? _resync;
    private DateTimeOffset? _lastEvent;

    /// <summary>When something new came last.</summary>
    public DateTimeOffset? LastEvent
    {
        get
        {
            lock (_lock)
                return _lastEvent;
        }
    }

    /// <summary>Takes an event. False when it was delivered before.</summary>
    public bool Offer(EventRecord record, ListenMode via)
    {
        DateTimeOffset now = time.GetUtcNow();
        lock (_lock)
        {
            if (!Remember_NeedsLock(record.Identity))
                return false;
            _lastEvent = now;
            string key = $"{record.MessageKey}\n{RedfishUri.Key(record.Origin ?? "")}\n{record.Severity}\n{record.IsTest}\n{record.IsResolved}";
            if (_alike.TryGetValue(key, out LinkedListNode<BmcEvent>? same))
            {
                same.Value = same.Value with { Count = same.Value.Count + 1, Touched = Union(same.Value.Touched, record.Touched) };
            }
            else if (_waiting.Count >= Capacity)
            {
                Resync_NeedsLock($"more than {Capacity} different events wait", via, now, record.Touched);
            }
            else
            {
                _alike[key] = _waiting.AddLast(new BmcEvent
                {
                    Kind = BmcEventKind.Record,
                    ReceivedAt = now,
                    Via = via,
                    Record = record,
                    Touched = record.Touched,
                    Reason = record.Message ?? record.MessageId ?? "event without text",
                });
            }
        }
        _signal.Writer.TryWrite(true);
        return true;
    }

    /// <summary>Asks the reader to read everything. Asked again before it has, it stays one request.</summary>
    public void Resync(string reason, ListenMode via)
    {
        lock (_lock)
            Resync_NeedsLock(reason, via, time.GetUtcNow(), []);
        _signal.Writer.TryWrite(true);
    }

    /// <summary>Events in order of arrival, for one reader.</summary>
    public async IAsyncEnumerable<BmcEvent> ReadAllAsync([EnumeratorCancellation] CancellationToken cancel)
    {
        while (true)
        {
            while (Take() is { } next)
                yield return next;
            await _signal.Reader.ReadAsync(cancel).ConfigureAwait(false);
        }
    }

    /// <summary>The next event, or null when none waits.</summary>
    public BmcEvent? Take()
    {
        lock (_lock)
        {
            if (_waiting.First is not { } first)
                return null;
            _waiting.RemoveFirst();
            if (ReferenceEquals(first, _resync))
                _resync = null;
            else
                foreach ((string key, LinkedListNode<BmcEvent> node) in _alike)
                {
                    if (!ReferenceEquals(node, first))
                        continue;
                    _alike.Remove(key);
                    break;
                }
            return first.Value;
        }
    }

    private void Resync_NeedsLock(string reason, ListenMode via, DateTimeOffset now, IReadOnlyList<string> touched)
    {
        if (_resync is { } waiting)
            waiting.Value = waiting.Value with { Count = waiting.Value.Count + 1, Touched = Union(waiting.Value.Touched, touched) };
        else
            _resync = _waiting.AddLast(new BmcEvent { Kind = BmcEventKind.Resync, ReceivedAt = now, Via = via, Reason = reason, Touched = touched });
    }

    private bool Remember_NeedsLock(ulong identity)
    {
        long now = time.GetTimestamp();
        while (_seenOrder.TryPeek(out (ulong Identity, long At) oldest) && (_seenOrder.Count > Remembered || time.GetElapsedTime(oldest.At, now) > Window))
        {
            _seenOrder.Dequeue();
            _seen.Remove(oldest.Identity);
        }
        if (!_seen.TryAdd(identity, now))
            return false;
        _seenOrder.Enqueue((identity, now));
        return true;
    }

    private static IReadOnlyList<string> Union(IReadOnlyList<string> left, IReadOnlyList<string> right)
    {
        if (right.Count == 0 || left.Count >= MaxTouched)
            return left;
        return [.. left.Concat(right.Where(r => !left.Any(l => RedfishUri.Same(l, r)))).Take(MaxTouched)];
    }
}
