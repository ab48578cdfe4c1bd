using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using Evacuator.Api;
using Evacuator.Common.AgentApi;

namespace Evacuator.Cli;

/// <summary>The verbs' way to the running service. Whatever goes wrong ends in a <see cref="CliException"/> with what to do.</summary>
internal sealed class BrainClient : IDisposable
{
    private readonly HttpClient _http;
    private readonly string _socketPath;

    private readonly Func<bool> _hasJoined;

    /// <param name="hasJoined">whether this host belongs to a fleet: without one the service does not start, and there is something else to do than to start it</param>
    public BrainClient(string socketPath = ApiRoutes.SocketPath, Func<bool>? hasJoined = null)
    {
        _socketPath = socketPath;
        _hasJoined = hasJoined ?? (() => true);
        _http = new HttpClient(new SocketsHttpHandler
        {
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
        })
        {
            BaseAddress = new Uri("http://evacuator"),
            // A plan asks every peer, the LED asks a BMC: both can be slow.
            Timeout = TimeSpan.FromMinutes(3),
        };
    }

    public async Task<T> GetAsync<T>(string path, CancellationToken token) => await ReadAsync<T>(await SendAsync(HttpMethod.Get, path, null, token).ConfigureAwait(false), token).ConfigureAwait(false);

    public async Task<T> SendAsync<T>(HttpMethod method, string path, object? body, CancellationToken token) =>
        await ReadAsync<T>(await SendAsync(method, path, body, token).ConfigureAwait(false), token).ConfigureAwait(false);

    public async Task PostAsync(string path, CancellationToken token) => (await SendAsync(HttpMethod.Post, path, null, token).ConfigureAwait(false)).Dispose();

    public async Task DeleteAsync(string path, CancellationToken token) => (await SendAsync(HttpMethod.Delete, path, null, token).ConfigureAwait(false)).Dispose();

    public void Dispose() => _http.Dispose();

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, object? body, CancellationToken token)
    {
        HttpResponseMessage response;
        try
        {
            using HttpRequestMessage request = new(method, path);
            if (body is not null)
                request.Content = JsonContent.Create(body, body.GetType(), options: ApiJson.Options);
            response = await _http.SendAsync(request, token).ConfigureAwait(false);
        }
        catch (HttpRequestException e) when (e.InnerException is SocketException socket)
        {
            throw Explain(socket, e);
        }
        catch (HttpRequestException e)
        {
            throw new CliException(CliExit.Unavailable, $"evacuator broke the connection: {e.Message}. See \"journalctl -u evacuator\".", e);
        }
        catch (TaskCanceledException e) when (!token.IsCancellationRequested)
        {
            throw new CliException(CliExit.Unavailable, "evacuator does not answer. See \"systemctl status evacuator\".", e);
        }

        if (response.IsSuccessStatusCode)
            return response;
        using (response)
            throw await RefusedAsync(response, token).ConfigureAwait(false);
    }

    private CliException Explain(SocketException socket, Exception e) => socket.SocketErrorCode switch
    {
        SocketError.AccessDenied => new CliException(CliExit.NoPermission,
            $"no permission on {_socketPath}: be root or a member of group evacuator (\"usermod -aG evacuator USER\", then log in again).", e),
        // ENOENT has no SocketError of its own.
        _ when !_hasJoined() => new CliException(CliExit.Unavailable,
            "this host has not joined a fleet, so the service does not run: as root \"evacuator fleet join\" with a token or with the bundle that was made for it, "
            + "then \"systemctl restart evacuator-agent evacuator\".", e),
        SocketError.ConnectionRefused or SocketError.AddressNotAvailable or SocketError.SocketError or SocketError.HostNotFound => new CliException(CliExit.Unavailable,
            "evacuator is not running on this host: \"systemctl start evacuator\"; why it stopped: \"journalctl -u evacuator -n 50\".", e),
        _ => new CliException(CliExit.Unavailable, $"{_socketPath}: {socket.Message}. See \"systemctl status evacuator\".", e),
    };

    private static async Task<CliException> RefusedAsync(HttpResponseMessage response, CancellationToken token)
    {
        string text = $"evacuator answered {(int)response.StatusCode}";
        try
        {
            if (await response.Content.ReadFromJsonAsync<ErrorReply>(ApiJson.Options, token).ConfigureAwait(false) is { Error.Length: > 0 } error)
                text = error.Error;
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException)
        {
            // Not our JSON: the status has to do.
        }

        int code = response.StatusCode switch
        {
            HttpStatusCode.BadRequest => CliExit.Usage,
            HttpStatusCode.Conflict or HttpStatusCode.NotFound => CliExit.Refused,
            HttpStatusCode.ServiceUnavailable => CliExit.Unavailable,
            _ => CliExit.Failed,
        };
        return new CliException(code, text);
    }

    private static async Task<T> ReadAsync<T>(HttpResponseMessage response, CancellationToken token)
    {
        using (response)
        {
            try
            {
                return await response.Content.ReadFromJsonAsync<T>(ApiJson.Options, token).ConfigureAwait(false)
                    ?? throw new CliException(CliExit.Unavailable, "evacuator sent an empty answer");
            }
            catch (JsonException e)
            {
                throw new CliException(CliExit.Unavailable, "evacuator sent an answer that this command does not understand: the service is of another version, \"systemctl restart evacuator\"", e);
            }
        }
    }
}

/// <summary>An expected failure of a verb: its exit code, and a text for standard error.</summary>
internal sealed class CliException(int exitCode, string message, Exception? inner = null) : Exception(message, inner)
{
    public int ExitCode { get; } = exitCode;
}
