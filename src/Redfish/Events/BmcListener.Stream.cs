using System.Text;
using Evacuator.Redfish.Session;

namespace Evacuator.Redfish.Events;

// The event stream.
public sealed partial class BmcListener
{
    // How long the old stream is read on after its successor is open.
    private static readonly TimeSpan Drain = TimeSpan.FromMilliseconds(500);

    private const int RefusalsAllowed = 3;

    /// <summary>Listens to the stream, through interruptions, until the service refuses it. Returns why.</summary>
    private async Task<string> StreamAsync(EventOffer offer, CancellationToken cancel)
    {
        Backoff backoff = NewBackoff();
        int refusals = 0;
        while (true)
        {
            StreamEnd end = await StreamOnceAsync(offer, cancel).ConfigureAwait(false);
            if (end.Lived)
            {
                backoff.Reset();
                refusals = 0;
            }
            if (end.Kind == StreamEndKind.Refused)
                return $"the event stream is refused: {end.Message}";
            if (end.Kind == StreamEndKind.EndedAtOnce && ++refusals >= RefusalsAllowed)
                return $"the event stream was closed at once {refusals} times: {end.Message}";
            Deaf(end.Message, ListenMode.Sse, offer.Reason);
            await Wait(backoff.Next(), cancel).ConfigureAwait(false);
        }
    }

    private async Task<StreamEnd> StreamOnceAsync(EventOffer offer, CancellationToken cancel)
    {
        (BmcStream? stream, BmcReply reply) = await _client.OpenStreamAsync(offer.StreamUri!, cancel).ConfigureAwait(false);
        if (stream is null)
        {
            StreamEndKind kind = reply.Error switch
            {
                BmcError.Unreachable or BmcError.SessionTableFull or BmcError.CredentialsRefused or BmcError.PasswordChangeRequired
                    or BmcError.CertificateChanged or BmcError.CertificateUntrusted or BmcError.TlsFailed or BmcError.NoTrust => StreamEndKind.Broken,
                BmcError.Overloaded or BmcError.ServerFailed => StreamEndKind.EndedAtOnce,
                _ => StreamEndKind.Refused,
            };
            return new StreamEnd(kind, false, reply.Message);
        }
        return await ReadStreamAsync(Reading(stream), offer, cancel).ConfigureAwait(false);
    }

    private StreamReading Reading(BmcStream stream) => new(stream, _options.MaxStreamEventBytes, _time.GetTimestamp(), _client.SessionGeneration);

    // Owns the reading, and those that follow it.

    private async Task<StreamEnd> ReadStreamAsync(StreamReading reading, EventOffer offer, CancellationToken cancel)
    {
        bool settled = false;
        long opened = _time.GetTimestamp(), alive = opened;
        // Ends with this method: the waits it carries must not outlive it.
        using CancellationTokenSource ending = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        Task tick = Wait(_options.StreamSettle, ending.Token);
        try
        {
            while (true)
            {
                Task<int> read = reading.Pending ??= reading.ReadAsync();
                await Task.WhenAny(read, tick).ConfigureAwait(false);
                cancel.ThrowIfCancellationRequested();
                if (read.IsCompleted)
                {
                    reading.Pending = null;
                    int count = await Count(read).ConfigureAwait(false);
                    if (count == 0)
                    {
                        string lived = $"the BMC closed it after {_time.GetElapsedTime(opened).TotalSeconds:0} s";
                        return new StreamEnd(settled ? StreamEndKind.Broken : StreamEndKind.EndedAtOnce, settled, lived);
                    }
                    if (!settled)
                    {
                        settled = true;
                        Begun(offer);
                    }
                    else
                    {
                        Hearing(ListenMode.Sse, offer.Reason);
                    }
                    Deliver(reading, count);
                    alive = _time.GetTimestamp();
                    continue;
                }

                tick = Wait(_options.StreamSettle, ending.Token);
                if (!settled)
                {
                    settled = true;
                    Begun(offer);
                }
                if (_time.GetElapsedTime(reading.Opened) >= _options.MaxStreamAge)
                {
                    (StreamReading? renewed, string failure) = await RenewAsync(reading, offer, cancel).ConfigureAwait(false);
                    if (renewed is null)
                        return new StreamEnd(StreamEndKind.Broken, true, failure);
                    reading = renewed;
                    alive = _time.GetTimestamp();
                }
                else if (_time.GetElapsedTime(alive) >= _options.LivenessInterval)
                {
                    BmcReply reply = await _client.GetAsync(offer.Service!.Uri, cancel).ConfigureAwait(false);
                    if (!reply.Succeeded)
                        return new StreamEnd(StreamEndKind.Broken, true, $"the stream is silent and the BMC does not answer: {reply.Message}");
                    // The BMC has forgotten the session under which the stream was opened: it restarted, and the stream is a corpse.
                    if (_client.SessionGeneration != reading.Generation)
                        return new StreamEnd(StreamEndKind.Broken, true, "the BMC had ended our session, so the stream is not trusted any more");
                    Hearing(ListenMode.Sse, offer.Reason);
                    alive = _time.GetTimestamp();
                }
            }
        }
        finally
        {
            await ending.CancelAsync().ConfigureAwait(false);
            await reading.DisposeAsync().ConfigureAwait(false);
        }
    }

    private void Begun(EventOffer offer)
    {
        Hearing(ListenMode.Sse, offer.Reason);
        _funnel.Resync("the event stream began; what happened before it is not known", ListenMode.Sse);
    }

    /// <summary>
    /// Opens the next stream before it leaves the old one, so that nothing falls between. For a moment both are read, side by side: what both deliver is recognised, and
    /// would not be if the second came only after thousands of others.
    /// </summary>
    private async Task<(StreamReading? Renewed, string Failure)> RenewAsync(StreamReading old, EventOffer offer, CancellationToken cancel)
    {
        (BmcStream? stream, BmcReply reply) = await _client.OpenStreamAsync(offer.StreamUri!, cancel).ConfigureAwait(false);
        // With room for one stream only, the old one goes first and the gap is a resync.
        if (stream is null)
            return (null, $"it was to be renewed: {reply.Message}");
        StreamReading renewed = Reading(stream);
        bool isDone = false;
        // Ends with this method, as the wait that it carries.
        using CancellationTokenSource ending = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        try
        {
            Task drained = Wait(Drain, ending.Token);
            while (!drained.IsCompleted && await TakeAsync(old).ConfigureAwait(false))
            {
                if (!await TakeAsync(renewed).ConfigureAwait(false))
                {
                    // Refused after all: whoever reads on finds the end.
                    renewed.Pending = Task.FromResult(0);
                    break;
                }
                await Task.WhenAny(old.Pending ??= old.ReadAsync(), renewed.Pending ??= renewed.ReadAsync(), drained).ConfigureAwait(false);
            }
            cancel.ThrowIfCancellationRequested();
            isDone = true;
        }
        finally
        {
            await ending.CancelAsync().ConfigureAwait(false);
            if (!isDone)
                await renewed.DisposeAsync().ConfigureAwait(false);
        }
        await old.DisposeAsync().ConfigureAwait(false);
        return (renewed, "");
    }

    // Hands on what has been read, if anything has. False at the end of the stream.
    private async Task<bool> TakeAsync(StreamReading reading)
    {
        if (reading.Pending is not { IsCompleted: true } read)
            return true;
        reading.Pending = null;
        int count = await Count(read).ConfigureAwait(false);
        Deliver(reading, count);
        return count > 0;
    }

    private void Deliver(StreamReading reading, int count)
    {
        List<SseEvent> events = [];
        reading.Parser.Push(reading.Buffer.AsSpan(0, count), events);
        foreach (SseEvent each in events)
        {
            if (!each.TooLarge)
                Take(EventPayload.Parse(each.Data), ListenMode.Sse);
            else if (!Encoding.UTF8.GetString(each.Data, 0, Math.Min(each.Data.Length, 4096)).Contains("MetricReport", StringComparison.Ordinal))
                _funnel.Resync($"an event larger than {_options.MaxStreamEventBytes} bytes was dropped", ListenMode.Sse);
        }
    }

    // A connection that breaks is an end like any other.
    private static async Task<int> Count(Task<int> read)
    {
        try
        {
            return await read.ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
            return 0;
        }
    }

    private enum StreamEndKind
    {
        Unset = 0,
        Refused = 1,
        EndedAtOnce = 2,
        Broken = 3,
    }

    private sealed record StreamEnd(StreamEndKind Kind, bool Lived, string Message);

    /// <summary>One open stream with its parser and the read under way. Owns the stream.</summary>
    private sealed class StreamReading(BmcStream stream, int maxEventBytes, long opened, int generation) : IAsyncDisposable
    {
        private readonly CancellationTokenSource _abandon = new();
        private bool _disposed;

        public byte[] Buffer { get; } = new byte[16 * 1024];

        public SseParser Parser { get; } = new(maxEventBytes);

        public long Opened { get; } = opened;

        public int Generation { get; } = generation;

        public Task<int>? Pending { get; set; }

        public Task<int> ReadAsync() => stream.Body.ReadAsync(Buffer, _abandon.Token).AsTask();

        /// <summary>
        /// Ends the read under way before the stream is disposed: disposing drains what is left of the body, and two readers of one connection trip over each other
        /// with whatever exception comes of that.
        /// </summary>
        public async ValueTask DisposeAsync()
        {
            if (_disposed)
                return;
            _disposed = true;
            await _abandon.CancelAsync().ConfigureAwait(false);
            if (Pending is { } left)
                await ((Task)left).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await stream.DisposeAsync().ConfigureAwait(false);
            _abandon.Dispose();
        }
    }
}
