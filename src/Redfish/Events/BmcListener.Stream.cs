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
        StreamReading reading = new(stream, _options.MaxStreamEventBytes, _time.GetTimestamp(), _client.SessionGeneration);
        try
        {
            return await ReadStreamAsync(reading, offer, cancel).ConfigureAwait(false);
        }
        finally
        {
            await reading.DisposeAsync().ConfigureAwait(false);
        }
    }

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
                Task<int> read = reading.Pending ??= reading.ReadAsync(ending.Token);
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
                    if (await RenewAsync(reading, offer, cancel).ConfigureAwait(false) is { } failure)
                        return new StreamEnd(StreamEndKind.Broken, true, failure);
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
        }
    }

    private void Begun(EventOffer offer)
    {
        Hearing(ListenMode.Sse, offer.Reason);
        _funnel.Resync("the event stream began; what happened before it is not known", ListenMode.Sse);
    }

    /// <summary>Opens the next stream before it leaves the old one, so that nothing falls between; what both deliver is recognised. Null, or why it failed.</summary>
    private async Task<string?> RenewAsync(StreamReading reading, EventOffer offer, CancellationToken cancel)
    {
        (BmcStream? next, BmcReply reply) = await _client.OpenStreamAsync(offer.StreamUri!, cancel).ConfigureAwait(false);
        // With room for one stream only, the old one goes first and the gap is a resync.
        if (next is null)
            return $"it was to be renewed: {reply.Message}";
        using CancellationTokenSource drained = new(Drain, _time);
        // Links: caller, the time for draining.
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(cancel, drained.Token);
        try
        {
            while (true)
            {
                Task<int> read = reading.Pending ?? reading.ReadAsync(cancel);
                reading.Pending = read;
                int count = await Count(read.WaitAsync(linked.Token)).ConfigureAwait(false);
                reading.Pending = null;
                if (count == 0)
                    break;
                Deliver(reading, count);
            }
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            // Quiet: that is how draining ends.
        }
        await reading.ReplaceAsync(next, _time.GetTimestamp(), _client.SessionGeneration).ConfigureAwait(false);
        return null;
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
        private BmcStream _stream = stream;

        public byte[] Buffer { get; private set; } = new byte[16 * 1024];

        public SseParser Parser { get; private set; } = new(maxEventBytes);

        public long Opened { get; private set; } = opened;

        public int Generation { get; private set; } = generation;

        public Task<int>? Pending { get; set; }

        public Task<int> ReadAsync(CancellationToken cancel) => _stream.Body.ReadAsync(Buffer, cancel).AsTask();

        public async Task ReplaceAsync(BmcStream next, long at, int newGeneration)
        {
            await DisposeAsync().ConfigureAwait(false);
            (_stream, Opened, Generation, Pending) = (next, at, newGeneration, null);
            // The abandoned read may still write into the old buffer.
            Buffer = new byte[16 * 1024];
            Parser = new SseParser(maxEventBytes);
        }

        public async ValueTask DisposeAsync()
        {
            await _stream.DisposeAsync().ConfigureAwait(false);
            if (Pending is { } left)
            {
                try
                {
                    await left.ConfigureAwait(false);
                }
                catch (Exception e) when (e is IOException or HttpRequestException or OperationCanceledException or ObjectDisposedException)
                {
                    // It was closed under the read on purpose.
                }
            }
        }
    }
}
