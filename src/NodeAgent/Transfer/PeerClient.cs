using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>The source's view of a destination's agent, for one move. One TLS connection is kept warm so that no handshake falls into the freeze.</summary>
internal sealed class PeerClient : IDisposable
{
    /// <summary>How often a connection for a stream is begun. The peer has just answered: one that takes longer than it may has no processor for a handshake at the moment, and more often than that it is gone.</summary>
    private const int ConnectTries = 3;

    private readonly HttpClient _http;
    private readonly Guid _moveId;
    private readonly TimeSpan _connectTimeout;
    private readonly List<Socket> _sockets = [];

    /// <param name="address">host or host:port</param>
    /// <param name="handler">makes the connections: proves us and accepts only the agent of the node we mean; owned from now on</param>
    /// <param name="wire">measures its connections</param>
    public PeerClient(string address, int defaultPort, SocketsHttpHandler handler, Guid moveId, string token, string container, ProtocolVersions? protocol = null, Wire? wire = null)
    {
        _moveId = moveId;
        handler.PooledConnectionIdleTimeout = TimeSpan.FromMinutes(10);
        _connectTimeout = handler.ConnectTimeout;
        handler.ConnectCallback ??= (context, cancel) => PeerConnection.OpenAsync(context.DnsEndPoint, PeerConnection.Patience, cancel, wire, Note);
        WholeWrites.UseIn(handler);
        string authority = address.Contains(':') && !address.StartsWith('[') && address.Count(c => c == ':') > 1 ? $"[{address}]:{defaultPort}"
            : address.Contains(':') ? address : $"{address}:{defaultPort}";
        _http = new HttpClient(new ProtocolHandler(protocol ?? ProtocolVersions.Agents, handler)) { BaseAddress = new Uri($"https://{authority}"), Timeout = Timeout.InfiniteTimeSpan };
        _http.DefaultRequestHeaders.Add(PeerProtocol.TokenHeader, token);
        _http.DefaultRequestHeaders.Add(PeerProtocol.ContainerHeader, container);
    }

    public Task<OfferReply> OfferAsync(Offer offer, CancellationToken cancel) =>
        SendAsync<OfferReply>(HttpMethod.Put, "/offer", JsonContent.Create(offer, options: ApiJson.Options), cancel);

    /// <summary>A duplex stream to an rsync server at the destination for tree <paramref name="tree"/> of the description.</summary>
    public Task<Stream> OpenTreeAsync(int tree, CancellationToken cancel) => UpgradeAsync($"/trees/{tree}", PeerProtocol.TreeUpgrade, cancel);

    /// <summary>The streams that memory travels on.</summary>
    public async Task<IReadOnlyList<Stream>> OpenPagesAsync(int lanes, CancellationToken cancel)
    {
        List<Stream> streams = [];
        try
        {
            while (streams.Count < lanes)
                streams.Add(await UpgradeAsync("/pages", PageFrame.Upgrade, cancel));
            return streams;
        }
        catch
        {
            foreach (Stream stream in streams)
                await stream.DisposeAsync();
            throw;
        }
    }

    /// <summary>A connection on which the destination asks for memory that stayed here.</summary>
    /// <param name="wanted">for what processes stand still for; else for all the rest</param>
    /// <exception cref="PeerRefusedException">410: it has everything</exception>
    public Task<Stream> OpenAwayAsync(bool wanted, CancellationToken cancel) => UpgradeAsync($"/away/{(wanted ? PeerProtocol.WantedLane : PeerProtocol.RestLane)}", AwayRequest.Upgrade, cancel);

    private async Task<Stream> UpgradeAsync(string path, string protocol, CancellationToken cancel)
    {
        HttpResponseMessage? response = null;
        for (int tries = 1; response is null; tries++)
        {
            using HttpRequestMessage request = Request(HttpMethod.Get, path, content: null);
            request.Headers.Connection.Add("Upgrade");
            request.Headers.Upgrade.ParseAdd(protocol);
            try
            {
                response = await SendAsync(request, cancel);
            }
            catch (NoConnectionException) when (tries < ConnectTries)
            {
                // Nothing has been sent.
            }
        }
        if (response.StatusCode != HttpStatusCode.SwitchingProtocols)
            throw await RefusalAsync(response, cancel);
        return await response.Content.ReadAsStreamAsync(cancel);
    }

    public async Task<(int Files, long Bytes)> SendImagesAsync(string directory, CancellationToken cancel)
    {
        using ImagesContent content = new(directory);
        await SendAsync(HttpMethod.Put, "/images", content, cancel);
        return content.Sent;
    }

    /// <summary>What is sent to the container is held at the destination when this returns.</summary>
    public Task HoldAsync(CancellationToken cancel) => SendAsync(HttpMethod.Post, "/hold", null, cancel);

    /// <summary>Lets the destination prepare the restore as far as it goes; no file changes there meanwhile.</summary>
    public async Task ArmAsync(CancellationToken cancel)
    {
        try
        {
            await SendAsync(HttpMethod.Post, "/arm", null, cancel);
        }
        catch (PeerRefusedException e) when (e.Status == HttpStatusCode.NotFound)
        {
            // Version 1: it prepared what it prepares when it took the offer.
        }
    }

    public Task<PeerReply> CompleteAsync(CompleteRequest request, CancellationToken cancel) =>
        SendAsync<PeerReply>(HttpMethod.Post, "/complete", JsonContent.Create(request, options: ApiJson.Options), cancel);

    public Task<PeerReply> ReleaseAsync(CancellationToken cancel) => SendAsync<PeerReply>(HttpMethod.Post, "/release", null, cancel);

    public Task<PeerReply> KnownAsync(CancellationToken cancel) => SendAsync<PeerReply>(HttpMethod.Post, "/known", null, cancel);

    /// <summary>Memory that the destination has not fetched is gone with an earlier boot of this host.</summary>
    public Task<PeerReply> LostAsync(CancellationToken cancel) => SendAsync<PeerReply>(HttpMethod.Post, "/lost", null, cancel);

    public Task<PeerReply> ForgetAsync(CancellationToken cancel) => SendAsync<PeerReply>(HttpMethod.Delete, "", null, cancel);

    /// <summary>Asks where it stands; also keeps the destination's lease and our TLS connection alive.</summary>
    public Task<PeerReply> AskAsync(CancellationToken cancel) => SendAsync<PeerReply>(HttpMethod.Get, "", null, cancel);

    /// <summary>
    /// What is said now and not heard is void: a connection that is closed with something unsent takes it back. Left to itself the kernel goes on sending for half a minute, and a destination
    /// that was out of reach would announce a container as its own that has run here again since, or at a third host.
    /// </summary>
    /// <param name="isVoid">false: from now on it is sent to the end again</param>
    public void TakeBack(bool isVoid)
    {
        lock (_sockets)
        {
            _sockets.RemoveAll(socket => !PeerConnection.TakeBack(socket, isVoid));
        }
    }

    public void Dispose() => _http.Dispose();

    private void Note(Socket socket)
    {
        lock (_sockets)
            _sockets.Add(socket);
    }

    private HttpRequestMessage Request(HttpMethod method, string path, HttpContent? content) =>
        new(method, PeerProtocol.Move(_moveId) + path) { Content = content, Version = HttpVersion.Version11 };

    private async Task SendAsync(HttpMethod method, string path, HttpContent? content, CancellationToken cancel)
    {
        using HttpRequestMessage request = Request(method, path, content);
        using HttpResponseMessage response = await SendAsync(request, cancel);
        if (!response.IsSuccessStatusCode)
            throw await RefusalAsync(response, cancel);
    }

    private async Task<T> SendAsync<T>(HttpMethod method, string path, HttpContent? content, CancellationToken cancel)
    {
        using HttpRequestMessage request = Request(method, path, content);
        using HttpResponseMessage response = await SendAsync(request, cancel);
        if (!response.IsSuccessStatusCode)
            throw await RefusalAsync(response, cancel);
        byte[] body = await ReadBoundedAsync(response, cancel);
        return JsonSerializer.Deserialize<T>(body, ApiJson.Options) ?? throw new InvalidDataException($"{request.RequestUri} answered with nothing");
    }

    /// <summary>HttpClient says of a connection that took too long that the request was cancelled, which here is what a person does.</summary>
    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancel)
    {
        try
        {
            return await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new NoConnectionException($"{_http.BaseAddress!.Authority} took no connection within {_connectTimeout.TotalSeconds} s");
        }
    }

    private static async Task<PeerRefusedException> RefusalAsync(HttpResponseMessage response, CancellationToken cancel)
    {
        ErrorReply? error = null;
        try
        {
            error = JsonSerializer.Deserialize<ErrorReply>(await ReadBoundedAsync(response, cancel), ApiJson.Options);
        }
        catch (Exception e) when (e is JsonException or IOException or InvalidDataException)
        {
            // The status code alone has to do.
        }
        return new PeerRefusedException(response.StatusCode, error?.Error ?? $"the peer answered {(int)response.StatusCode}");
    }

    private static async Task<byte[]> ReadBoundedAsync(HttpResponseMessage response, CancellationToken cancel)
    {
        await using Stream stream = await response.Content.ReadAsStreamAsync(cancel);
        using MemoryStream kept = new();
        byte[] buffer = new byte[16 * 1024];
        int read;
        while ((read = await stream.ReadAsync(buffer, cancel)) > 0)
        {
            if (kept.Length + read > PeerProtocol.MaxJson)
                throw new InvalidDataException($"the peer's answer is larger than {PeerProtocol.MaxJson} bytes");
            kept.Write(buffer, 0, read);
        }
        return kept.ToArray();
    }

    private sealed class NoConnectionException(string message) : HttpRequestException(message);

    private sealed class ImagesContent(string directory) : HttpContent
    {
        public (int Files, long Bytes) Sent { get; private set; }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancel) =>
            Sent = await ImageStream.WriteAsync(directory, stream, cancel);

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}

/// <summary>The peer understood and said no; asking again in the same way will not help.</summary>
internal sealed class PeerRefusedException(HttpStatusCode status, string message) : Exception(message)
{
    public HttpStatusCode Status { get; } = status;
}
