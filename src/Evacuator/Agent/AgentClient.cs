using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using Evacuator.Common.AgentApi;

namespace Evacuator.Agent;

/// <summary>
/// Talks to this node's agent over its unix socket. Every call is bounded in time and size and ends in a value or an
/// <see cref="AgentException"/> that says whether the agent was absent or refused.
/// </summary>
internal sealed class AgentClient : IDisposable
{
    private const int MaxReplyBytes = 16 << 20;

    /// <summary>Emptiness and container listings walk /proc and cgroups; on a busy host that takes seconds.</summary>
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    private readonly HttpClient _http;
    private readonly string _socketPath;

    public AgentClient(string socketPath = AgentRoutes.SocketPath)
    {
        _socketPath = socketPath;
        SocketsHttpHandler handler = new()
        {
            ConnectTimeout = TimeSpan.FromSeconds(5),
            ConnectCallback = async (_, token) =>
            {
                Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), token).ConfigureAwait(false);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
        };
        _http = new HttpClient(handler)
        {
            BaseAddress = new Uri("http://agent"),
            Timeout = Timeout,
            MaxResponseContentBufferSize = MaxReplyBytes,
        };
    }

    public Task<HostReport> GetHostAsync(CancellationToken token) => GetAsync<HostReport>(AgentRoutes.Host, token);

    public async Task<IReadOnlyList<ContainerReport>> GetContainersAsync(CancellationToken token) =>
        await GetAsync<List<ContainerReport>>(AgentRoutes.Containers, token).ConfigureAwait(false);

    /// <exception cref="AgentException">it did not take it, or does not answer</exception>
    public Task TellRosterAsync(string roster, CancellationToken token) =>
        SendAsync(HttpMethod.Put, AgentRoutes.Fleet, JsonContent.Create(new FleetRequest(roster), options: ApiJson.Options), token);

    public Task SetAdmissionAsync(bool open, string reason, CancellationToken token) =>
        SendAsync(HttpMethod.Put, AgentRoutes.Admission, JsonContent.Create(new AdmissionRequest(open, reason), options: ApiJson.Options), token);

    public async Task<InboundReply> AnnounceAsync(InboundRequest request, CancellationToken token) =>
        await ReadAsync<InboundReply>(
            await SendAsync(HttpMethod.Post, AgentRoutes.Inbound, JsonContent.Create(request, options: ApiJson.Options), token).ConfigureAwait(false), token).ConfigureAwait(false);

    public async Task<IReadOnlyList<InboundReport>> GetInboundAsync(CancellationToken token) =>
        await GetAsync<List<InboundReport>>(AgentRoutes.Inbound, token).ConfigureAwait(false);

    public Task ForgetInboundAsync(Guid moveId, CancellationToken token) =>
        SendAsync(HttpMethod.Delete, $"{AgentRoutes.Inbound}/{moveId:D}", null, token);

    public async Task<MoveReport> StartMoveAsync(MoveRequest request, CancellationToken token) =>
        await ReadAsync<MoveReport>(
            await SendAsync(HttpMethod.Post, AgentRoutes.Moves, JsonContent.Create(request, options: ApiJson.Options), token).ConfigureAwait(false), token).ConfigureAwait(false);

    /// <summary>Null if the agent knows no such move.</summary>
    public async Task<MoveReport?> GetMoveAsync(Guid moveId, CancellationToken token)
    {
        try
        {
            return await GetAsync<MoveReport>($"{AgentRoutes.Moves}/{moveId:D}", token).ConfigureAwait(false);
        }
        catch (AgentException e) when (e.Status == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    /// <summary>Those of this boot, and older ones that have not ended; newest last.</summary>
    public async Task<IReadOnlyList<MoveReport>> GetMovesAsync(CancellationToken token) =>
        await GetAsync<List<MoveReport>>(AgentRoutes.Moves, token).ConfigureAwait(false);

    /// <exception cref="AgentException">the destination answers, or the move does not wait for it</exception>
    public Task DeclareGoneAsync(Guid moveId, string word, CancellationToken token) =>
        SendAsync(HttpMethod.Post, $"{AgentRoutes.Moves}/{moveId:D}/gone", JsonContent.Create(new PeerGoneRequest(word), options: ApiJson.Options), token);

    /// <summary>False if it is too late: the container has been released or the move has ended.</summary>
    public async Task<bool> AbortMoveAsync(Guid moveId, CancellationToken token)
    {
        try
        {
            await SendAsync(HttpMethod.Post, $"{AgentRoutes.Moves}/{moveId:D}/abort", null, token).ConfigureAwait(false);
            return true;
        }
        catch (AgentException e) when (e.Status is HttpStatusCode.Conflict or HttpStatusCode.NotFound)
        {
            return false;
        }
    }

    public Task<EmptinessReport> GetEmptinessAsync(CancellationToken token) => GetAsync<EmptinessReport>(AgentRoutes.Emptiness, token);

    /// <summary>What no move can take away, so that the host would not be found empty, in words; a failure to look is one of them.</summary>
    public async Task<IReadOnlyList<string>> GetObstaclesAsync(CancellationToken token)
    {
        try
        {
            EmptinessReport lasting = await GetAsync<EmptinessReport>(AgentRoutes.Lasting, token).ConfigureAwait(false);
            return [.. lasting.Checks.Where(check => !check.Passed).SelectMany(check => check.Left.DefaultIfEmpty("could not be looked at").Select(left => $"{check.Name}: {left}"))];
        }
        catch (AgentException e)
        {
            return [$"what is here besides containers could not be looked at: {e.Message}"];
        }
    }

    /// <summary>Null when the host goes down; else what is left.</summary>
    public async Task<EmptinessReport?> PowerOffAsync(PowerOffRequest request, CancellationToken token)
    {
        using HttpResponseMessage response = await ExchangeAsync(HttpMethod.Post, AgentRoutes.PowerOff, JsonContent.Create(request, options: ApiJson.Options), token).ConfigureAwait(false);
        if (response.StatusCode == HttpStatusCode.Conflict)
            return await ReadAsync<EmptinessReport>(response, token).ConfigureAwait(false);
        await ThrowIfRefusedAsync(response, token).ConfigureAwait(false);
        return null;
    }

    public void Dispose() => _http.Dispose();

    private async Task<T> GetAsync<T>(string path, CancellationToken token) =>
        await ReadAsync<T>(await SendAsync(HttpMethod.Get, path, null, token).ConfigureAwait(false), token).ConfigureAwait(false);

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, HttpContent? content, CancellationToken token)
    {
        HttpResponseMessage response = await ExchangeAsync(method, path, content, token).ConfigureAwait(false);
        await ThrowIfRefusedAsync(response, token).ConfigureAwait(false);
        return response;
    }

    private async Task<HttpResponseMessage> ExchangeAsync(HttpMethod method, string path, HttpContent? content, CancellationToken token)
    {
        try
        {
            using HttpRequestMessage request = new(method, path) { Content = content };
            return await _http.SendAsync(request, token).ConfigureAwait(false);
        }
        catch (HttpRequestException e)
        {
            throw new AgentException($"evacuator-agent does not answer on {_socketPath}: {(e.InnerException ?? e).Message}", null, [], e);
        }
        catch (TaskCanceledException e) when (!token.IsCancellationRequested)
        {
            throw new AgentException($"evacuator-agent did not answer {method} {path} within {Timeout.TotalSeconds:0} s", null, [], e);
        }
    }

    private static async Task ThrowIfRefusedAsync(HttpResponseMessage response, CancellationToken token)
    {
        if (response.IsSuccessStatusCode)
            return;
        HttpStatusCode status = response.StatusCode;
        ErrorReply? error = null;
        try
        {
            error = await response.Content.ReadFromJsonAsync<ErrorReply>(ApiJson.Options, token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException)
        {
            // Not our JSON: the status has to do.
        }

        response.Dispose();
        throw new AgentException(error?.Error is { Length: > 0 } text ? text : $"evacuator-agent answered {(int)status}", status, error?.Blockers ?? []);
    }

    private static async Task<T> ReadAsync<T>(HttpResponseMessage response, CancellationToken token)
    {
        using (response)
        {
            try
            {
                return await response.Content.ReadFromJsonAsync<T>(ApiJson.Options, token).ConfigureAwait(false)
                    ?? throw new AgentException("evacuator-agent sent an empty answer", response.StatusCode, []);
            }
            catch (Exception e) when (e is JsonException or NotSupportedException)
            {
                throw new AgentException($"evacuator-agent sent something else than {typeof(T).Name}: {e.Message}", response.StatusCode, [], e);
            }
        }
    }
}

/// <summary>The agent did not do what it was asked.</summary>
/// <param name="status">its answer; null if there was none</param>
internal sealed class AgentException(string message, HttpStatusCode? status, IReadOnlyList<Blocker> blockers, Exception? inner = null) : Exception(message, inner)
{
    public HttpStatusCode? Status { get; } = status;

    public IReadOnlyList<Blocker> Blockers { get; } = blockers;

    /// <summary>True if it was not there or answered something that is not ours: asking again later may help.</summary>
    public bool IsAbsent => Status is null or >= HttpStatusCode.InternalServerError;
}
