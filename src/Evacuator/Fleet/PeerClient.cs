using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Fleet.Locks;
using Evacuator.Homecoming;

namespace Evacuator.Fleet;

/// <summary>Talks to one peer's brain. Every call is bounded in time and size and ends in a value or a <see cref="PeerException"/>.</summary>
internal sealed class PeerClient : IDisposable
{
    /// <summary>A peer is not trusted with our memory: its longest honest answer is a few KiB.</summary>
    private const int MaxReplyBytes = 4 << 20;

    private readonly HttpClient _http;
    private readonly ProtocolHandler _protocol;
    private readonly TimeSpan _answer;
    private readonly int _port;
    private volatile Peer _peer;

    /// <param name="handler">makes the connection, with the fleet's certificates; owned from now on</param>
    /// <param name="answer">how long it may take to tell its capacity</param>
    public PeerClient(Peer peer, int port, HttpMessageHandler handler, TimeSpan? answer = null, ProtocolVersions? protocol = null)
    {
        (_peer, _port) = (peer, port);
        _answer = answer ?? new BrainTimings().PeerAnswer;
        _protocol = new ProtocolHandler(protocol ?? ProtocolVersions.Brains, handler);
        _http = new HttpClient(_protocol)
        {
            Timeout = Timeout.InfiniteTimeSpan,
            MaxResponseContentBufferSize = MaxReplyBytes,
        };
    }

    public Peer Peer => _peer;

    /// <summary>From the next request on; its certificate has to be the same node's there.</summary>
    public void MoveTo(string address) => _peer = _peer with { Address = address };

    /// <summary>The version of the protocol that it is spoken with, as far as it is known.</summary>
    public int ProtocolVersion => _protocol.Version;

    public Task<PeerCapacity> GetCapacityAsync(CancellationToken token) =>
        CallAsync<PeerCapacity>(HttpMethod.Get, PeerRoutes.Capacity, null, _answer, token);

    /// <summary>The destination looks at its disk, names and network before it answers, hence the long limit.</summary>
    public Task<ReservationReply> ReserveAsync(ReservationRequest request, CancellationToken token) =>
        CallAsync<ReservationReply>(HttpMethod.Post, PeerRoutes.Reservations, request, TimeSpan.FromSeconds(60), token);

    /// <summary>Null if the peer knows nothing of it.</summary>
    public async Task<InboundReport?> GetReservationAsync(Guid moveId, CancellationToken token)
    {
        try
        {
            return await CallAsync<InboundReport>(HttpMethod.Get, $"{PeerRoutes.Reservations}/{moveId:D}", null, TimeSpan.FromSeconds(20), token).ConfigureAwait(false);
        }
        catch (PeerException e) when (e.Status == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    public Task ForgetReservationAsync(Guid moveId, CancellationToken token) =>
        CallAsync<object>(HttpMethod.Delete, $"{PeerRoutes.Reservations}/{moveId:D}", null, TimeSpan.FromSeconds(20), token);

    /// <summary>The witness reads the BMC before it answers, and BMCs are slow.</summary>
    public Task<WitnessReply> AskToWitnessAsync(WitnessRequest request, CancellationToken token) =>
        CallAsync<WitnessReply>(HttpMethod.Post, PeerRoutes.Witness, request, TimeSpan.FromSeconds(90), token);

    /// <summary>Null if the peer knows nothing of it.</summary>
    public async Task<WitnessStatus?> GetWitnessAsync(Guid evacuation, CancellationToken token)
    {
        try
        {
            return await CallAsync<WitnessStatus>(HttpMethod.Get, $"{PeerRoutes.Witness}/{evacuation:D}", null, TimeSpan.FromSeconds(20), token).ConfigureAwait(false);
        }
        catch (PeerException e) when (e.Status == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    public Task WithdrawWitnessAsync(Guid evacuation, CancellationToken token) =>
        CallAsync<object>(HttpMethod.Delete, $"{PeerRoutes.Witness}/{evacuation:D}", null, TimeSpan.FromSeconds(20), token);

    public async Task<IReadOnlyList<GuestReport>> GetGuestsAsync(CancellationToken token) =>
        await CallAsync<List<GuestReport>>(HttpMethod.Get, PeerRoutes.Guests, null, TimeSpan.FromSeconds(30), token).ConfigureAwait(false);

    public Task<DepartureAnswer> RequestDepartureAsync(DepartureRequest request, CancellationToken token) =>
        CallAsync<DepartureAnswer>(HttpMethod.Post, PeerRoutes.Departures, request, TimeSpan.FromSeconds(60), token);

    /// <summary>Null if the peer knows nothing of it.</summary>
    public Task<DepartureReport?> GetDepartureAsync(Guid id, CancellationToken token) => FindDepartureAsync(HttpMethod.Get, id, token);

    /// <summary>Null if the peer knows nothing of it.</summary>
    public Task<DepartureReport?> CancelDepartureAsync(Guid id, CancellationToken token) => FindDepartureAsync(HttpMethod.Delete, id, token);

    public Task<LockReply> ClaimLockAsync(LockRequest request, CancellationToken token) =>
        CallAsync<LockReply>(HttpMethod.Post, PeerRoutes.Lock, request, TimeSpan.FromSeconds(5), token);

    public Task ReleaseLockAsync(Guid evacuation, CancellationToken token) =>
        CallAsync<object>(HttpMethod.Delete, $"{PeerRoutes.Lock}/{evacuation:D}", null, TimeSpan.FromSeconds(5), token);

    /// <summary>A person has taken the place of a node away.</summary>
    public Task UnlockAsync(string node, CancellationToken token) =>
        CallAsync<object>(HttpMethod.Delete, $"{PeerRoutes.Lock}/nodes/{node}", null, TimeSpan.FromSeconds(5), token);

    public async Task<string> GetRosterAsync(CancellationToken token) =>
        (await CallAsync<RosterMessage>(HttpMethod.Get, PeerRoutes.Fleet, null, TimeSpan.FromSeconds(10), token).ConfigureAwait(false)).Text;

    /// <exception cref="PeerException">it did not take it, does not answer, or its release knows no such list</exception>
    public Task TellRosterAsync(string text, CancellationToken token) =>
        CallAsync<object>(HttpMethod.Put, PeerRoutes.Fleet, new RosterMessage(text), TimeSpan.FromSeconds(10), token);

    public Task InviteHomeAsync(HomecomingInvitation invitation, CancellationToken token) =>
        CallAsync<object>(HttpMethod.Post, PeerRoutes.Homecomings, invitation, TimeSpan.FromSeconds(20), token);

    public Task KeepJournalCopyAsync(Journal.JournalCopy copy, CancellationToken token) =>
        CallAsync<object>(HttpMethod.Put, PeerRoutes.JournalCopy, copy, TimeSpan.FromSeconds(20), token);

    /// <summary>Null if the peer has none.</summary>
    public async Task<Journal.JournalCopy?> GetJournalCopyAsync(CancellationToken token)
    {
        try
        {
            return await CallAsync<Journal.JournalCopy>(HttpMethod.Get, PeerRoutes.JournalCopy, null, _answer, token).ConfigureAwait(false);
        }
        catch (PeerException e) when (e.Status == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    public void Dispose() => _http.Dispose();

    private async Task<DepartureReport?> FindDepartureAsync(HttpMethod method, Guid id, CancellationToken token)
    {
        try
        {
            return await CallAsync<DepartureReport>(method, $"{PeerRoutes.Departures}/{id:D}", null, TimeSpan.FromSeconds(20), token).ConfigureAwait(false);
        }
        catch (PeerException e) when (e.Status == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    private async Task<T> CallAsync<T>(HttpMethod method, string path, object? body, TimeSpan limit, CancellationToken token)
    {
        using CancellationTokenSource bounded = CancellationTokenSource.CreateLinkedTokenSource(token);
        bounded.CancelAfter(limit);
        try
        {
            using HttpRequestMessage request = new(method, new Uri(new UriBuilder("https", Peer.Address, _port).Uri, path));
            if (body is not null)
                request.Content = JsonContent.Create(body, body.GetType(), options: ApiJson.Options);
            using HttpResponseMessage response = await _http.SendAsync(request, bounded.Token).ConfigureAwait(false);
            if (!response.IsSuccessStatusCode)
                throw await RefusedAsync(response, bounded.Token).ConfigureAwait(false);
            if (response.StatusCode == HttpStatusCode.NoContent)
                return default!;
            return await response.Content.ReadFromJsonAsync<T>(ApiJson.OfOthers, bounded.Token).ConfigureAwait(false)
                ?? throw new PeerException($"{Peer.Name} sent an empty answer", BlockerCode.PeerUnreachable, response.StatusCode);
        }
        catch (HttpRequestException e)
        {
            throw new PeerException($"{Peer.Name} ({Peer.Address}) does not answer: {Innermost(e)}", BlockerCode.PeerUnreachable, null, e);
        }
        catch (OperationCanceledException e) when (!token.IsCancellationRequested)
        {
            throw new PeerException($"{Peer.Name} ({Peer.Address}) did not answer {method} {path} within {limit.TotalSeconds:0.#} s", BlockerCode.PeerUnreachable, null, e);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw new PeerException($"{Peer.Name} sent something else than {typeof(T).Name}: {e.Message}", BlockerCode.PeerVersion, null, e);
        }
    }

    private async Task<PeerException> RefusedAsync(HttpResponseMessage response, CancellationToken token)
    {
        ErrorReply? error = null;
        try
        {
            error = await response.Content.ReadFromJsonAsync<ErrorReply>(ApiJson.Options, token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException)
        {
            // Not our JSON: the status has to do.
        }

        BlockerCode code = response.StatusCode == HttpStatusCode.UpgradeRequired ? BlockerCode.PeerVersion : BlockerCode.PeerUnreachable;
        string text = error?.Error is { Length: > 0 } words ? words : $"answered {(int)response.StatusCode}";
        return new PeerException($"{Peer.Name}: {text}", code, response.StatusCode);
    }

    /// <summary>TLS failures hide their reason, such as an unknown authority, several exceptions deep.</summary>
    private static string Innermost(Exception e)
    {
        while (e.InnerException is not null)
            e = e.InnerException;
        return e.Message;
    }
}

/// <summary>A peer did not do what it was asked.</summary>
internal sealed class PeerException(string message, BlockerCode code, HttpStatusCode? status, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>What this means for a container that was to go there.</summary>
    public BlockerCode Code { get; } = code;

    /// <summary>Its answer; null if there was none.</summary>
    public HttpStatusCode? Status { get; } = status;
}
