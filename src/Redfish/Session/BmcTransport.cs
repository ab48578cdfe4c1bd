using System.IO.Compression;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;

namespace Evacuator.Redfish.Session;

/// <summary>
/// Sends single requests to one BMC: never to another host, never more than allowed at a time, never for longer than allowed, and never reads more than allowed.
/// Repeats nothing except a redirect that stays on the BMC; what may be repeated is decided above.
/// Owns the connections; thread-safe.
/// </summary>
internal sealed partial class BmcTransport : IDisposable
{
    private const int MaxRedirects = 3;

    private readonly BmcOptions _options;
    private readonly TimeProvider _time;
    private readonly CertificateCheck? _check;
    private readonly SocketsHttpHandler _handler;
    private readonly HttpMessageInvoker _invoker;
    private readonly SemaphoreSlim _gate;
    private readonly string? _refusal;
    private Uri _origin;
    private long _requests;

    public BmcTransport(BmcOptions options, TimeProvider time)
    {
        _options = options;
        _time = time;
        _gate = new SemaphoreSlim(options.MaxConcurrency);
        _origin = OriginOf(options.Url);
        _check = CertificateCheck.From(options, time);
        if (_origin.Scheme == Uri.UriSchemeHttp && !(options.AllowPlainHttp || _origin.IsLoopback))
        {
            // A password must not travel readable: the same address by TLS is what was meant.
            _origin = new UriBuilder(_origin) { Scheme = Uri.UriSchemeHttps, Port = _origin.IsDefaultPort ? 443 : _origin.Port }.Uri;
        }
        if (_origin.Scheme == Uri.UriSchemeHttps)
            _refusal = _check.Problem;

        _handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = false,
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = options.Timeouts.Connect,
            // BMCs close idle connections without telling; a fresh one costs less than a lost request.
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(15),
            PooledConnectionLifetime = TimeSpan.FromMinutes(10),
            MaxResponseHeadersLength = 64,
            MaxResponseDrainSize = 64 * 1024,
            ResponseDrainTimeout = TimeSpan.FromSeconds(1),
            ConnectCallback = ConnectAsync,
            SslOptions = new SslClientAuthenticationOptions
            {
                RemoteCertificateValidationCallback = (_, certificate, chain, errors) => _check.Accept(certificate, chain, errors),
            },
        };
        _invoker = new HttpMessageInvoker(_handler);
    }

    /// <summary>HTTP requests sent so far, streams and logins included.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    /// <summary>Scheme, host and port that everything goes to.</summary>
    public Uri Origin => _origin;

    /// <summary>Fingerprint of the certificate presented last; null before the first handshake.</summary>
    public string? PresentedFingerprint => _check?.Last?.Presented;

    /// <summary>Pinned and presented fingerprint of the last check, where it failed for their difference.</summary>
    public (string Pinned, string Presented)? LastCertificates =>
        _check?.Last is { Error: BmcError.CertificateChanged, Pinned: { } pinned, Presented: { } presented } ? (pinned, presented) : null;

    public async Task<BmcExchange> SendAsync(BmcRequest request, CancellationToken cancel)
    {
        if (_refusal is not null)
            return new BmcExchange { Error = BmcError.NoTrust, Message = _refusal };
        await _gate.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            return await SendFollowingAsync(request, cancel).ConfigureAwait(false);
        }
        finally
        {
            _gate.Release();
        }
    }

    private async Task<BmcExchange> SendFollowingAsync(BmcRequest request, CancellationToken cancel)
    {
        if (!TryResolve(request.Target, out Uri? uri))
            return new BmcExchange { Error = BmcError.Malformed, Message = $"'{Short(request.Target)}' from {_origin.Host} is not a URI of this BMC" };
        // Links: caller, time limit of one request including its redirects.
        using CancellationTokenSource limit = new(_options.Timeouts.Request, _time);
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(cancel, limit.Token);
        BmcExchange? arrived = null;
        try
        {
            (HttpResponseMessage? response, uri, BmcExchange? refused) = await SendForHeadersAsync(request, uri, linked.Token).ConfigureAwait(false);
            if (refused is not null)
                return refused;
            using (response)
            {
                arrived = Headers(response!);
                byte[] body = await ReadBodyAsync(response!, linked.Token).ConfigureAwait(false);
                return Judge(request, uri, arrived, body);
            }
        }
        catch (Exception e) when (!cancel.IsCancellationRequested || e is not OperationCanceledException)
        {
            (BmcError error, string message) = Classify(e, limit.IsCancellationRequested, request, uri);
            return (arrived ?? new BmcExchange { Error = error }) with { Error = error, Message = message };
        }
    }

    // The response is the caller's to dispose; exactly one of response and refusal is there.
    private async Task<(HttpResponseMessage? Response, Uri Uri, BmcExchange? Refused)> SendForHeadersAsync(BmcRequest request, Uri uri, CancellationToken limit)
    {
        for (int hops = 0; ; hops++)
        {
            using HttpRequestMessage message = Build(request, uri);
            Interlocked.Increment(ref _requests);
            HttpResponseMessage response = await _invoker.SendAsync(message, limit).ConfigureAwait(false);
            if (!IsRedirect(response))
                return (response, uri, null);
            using (response)
            {
                (uri, BmcExchange? refused) = Follow(request, uri, response, hops);
                if (refused is not null)
                    return (null, uri, refused);
            }
        }
    }

    /// <summary>
    /// Opens a stream of events. The time limit holds until the headers are there; the body then stays open for as long as the caller reads, and does not count as a request under way.
    /// </summary>
    public async Task<(BmcStream? Stream, BmcExchange Answer)> OpenStreamAsync(BmcRequest request, CancellationToken cancel)
    {
        if (_refusal is not null)
            return (null, new BmcExchange { Error = BmcError.NoTrust, Message = _refusal });
        if (!TryResolve(request.Target, out Uri? uri))
            return (null, new BmcExchange { Error = BmcError.Malformed, Message = $"'{Short(request.Target)}' from {_origin.Host} is not a URI of this BMC" });
        TimeSpan wait = _options.Timeouts.StreamHeaders;
        using CancellationTokenSource limit = new(wait, _time);
        // Links: caller, time limit for the headers.
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(cancel, limit.Token);
        HttpResponseMessage? response = null;
        await _gate.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            (response, uri, BmcExchange? refused) = await SendForHeadersAsync(request, uri, linked.Token).ConfigureAwait(false);
            if (refused is not null)
                return (null, refused);
            BmcExchange arrived = Headers(response!);
            if (!arrived.IsSuccessStatus)
                return (null, Judge(request, uri, arrived, await ReadBodyAsync(response!, linked.Token).ConfigureAwait(false)));
            string? type = response!.Content.Headers.ContentType?.MediaType;
            if (type is not null && !type.Equals(request.Accept, StringComparison.OrdinalIgnoreCase))
                return (null, arrived with { Error = BmcError.NotSupported, Message = $"GET {uri} answered {type} instead of {request.Accept}" });
            BmcStream stream = new(response, await response.Content.ReadAsStreamAsync(linked.Token).ConfigureAwait(false));
            response = null;
            return (stream, arrived);
        }
        catch (Exception e) when (!cancel.IsCancellationRequested || e is not OperationCanceledException)
        {
            (BmcError error, string message) = limit.IsCancellationRequested && e is OperationCanceledException
                ? (BmcError.Timeout, $"GET {uri} sent no headers within {wait.TotalSeconds:0} s")
                : Classify(e, false, request, uri);
            return (null, new BmcExchange { Error = error, Message = message });
        }
        finally
        {
            response?.Dispose();
            _gate.Release();
        }
    }

    /// <summary>
    /// The path and query of <paramref name="target"/> on this BMC. A link to another host is taken as its path here: BMCs behind a forwarder write addresses of their own,
    /// and nothing a BMC writes may send the token elsewhere.
    /// </summary>
    public bool TryResolve(string target, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Uri? uri)
    {
        uri = null;
        if (string.IsNullOrWhiteSpace(target) || target.Length > 4096)
            return false;
        foreach (char c in target)
            if (c is < ' ' or '\\')
                return false;
        string path = target;
        if (!target.StartsWith('/') || target.StartsWith("//", StringComparison.Ordinal))
        {
            if (!Uri.TryCreate(_origin, target, out Uri? absolute) || (absolute.Scheme != Uri.UriSchemeHttps && absolute.Scheme != Uri.UriSchemeHttp))
                return false;
            path = absolute.PathAndQuery;
        }
        return Uri.TryCreate(_origin.GetLeftPart(UriPartial.Authority) + path, UriKind.Absolute, out uri) && uri.Host == _origin.Host && uri.Port == _origin.Port;
    }

    private static HttpRequestMessage Build(BmcRequest request, Uri uri)
    {
        HttpRequestMessage message = new(request.Method, uri) { Version = HttpVersion.Version11, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        message.Headers.TryAddWithoutValidation("Accept", request.Accept);
        message.Headers.TryAddWithoutValidation("OData-Version", "4.0");
        // Compressed replies turn strong ETags into weak ones.
        if (!request.AnyEncoding)
            message.Headers.TryAddWithoutValidation("Accept-Encoding", "identity");
        message.Headers.ConnectionClose = request.FreshConnection ? true : null;
        if (request.Credential.Token is { } token)
            message.Headers.TryAddWithoutValidation("X-Auth-Token", token);
        else if (request.Credential.Basic is { } basic)
            message.Headers.Authorization = new AuthenticationHeaderValue("Basic", basic);
        if (request.IfMatch is { } etag)
            message.Headers.TryAddWithoutValidation("If-Match", etag);
        if (request.Body is { } body)
        {
            message.Content = new ByteArrayContent(body);
            message.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        }
        return message;
    }

    private static bool IsRedirect(HttpResponseMessage response) => (int)response.StatusCode is 301 or 302 or 303 or 307 or 308;

    /// <summary>Where a redirect leads if it may be followed; else the refusal.</summary>
    private (Uri Next, BmcExchange? Refused) Follow(BmcRequest request, Uri from, HttpResponseMessage response, int hops)
    {
        BmcExchange Refuse(string why) => Headers(response) with
        {
            Error = BmcError.RedirectedElsewhere,
            Message = $"{request.Method} {from} was redirected {why}; not followed and the token was not sent there",
        };
        if (hops >= MaxRedirects)
            return (from, Refuse($"more than {MaxRedirects} times"));
        if (response.Headers.Location is not { } location)
            return (from, Refuse("to nowhere"));
        Uri target;
        try
        {
            target = location.IsAbsoluteUri ? location : new Uri(from, location);
        }
        catch (UriFormatException)
        {
            return (from, Refuse("to something that is no URI"));
        }
        bool sameHost = string.Equals(target.Host, from.Host, StringComparison.OrdinalIgnoreCase);
        bool sameOrigin = sameHost && target.Scheme == from.Scheme && target.Port == from.Port;
        bool upgrade = sameHost && from.Scheme == Uri.UriSchemeHttp && target.Scheme == Uri.UriSchemeHttps;
        if (!sameOrigin && !upgrade)
            return (from, Refuse($"to {target.GetLeftPart(UriPartial.Authority)}"));
        if (upgrade)
        {
            if (_check?.Problem is { } problem)
                return (from, Headers(response) with { Error = BmcError.NoTrust, Message = problem });
            _origin = OriginOf(target);
        }
        // A request that changes something is repeated only at the same resource written with or without the last slash.
        bool sameResource = string.Equals(target.AbsolutePath.TrimEnd('/'), from.AbsolutePath.TrimEnd('/'), StringComparison.OrdinalIgnoreCase);
        bool keepsMethod = request.Method == HttpMethod.Get || (sameResource && (int)response.StatusCode != 303);
        return keepsMethod ? (target, null) : (from, Refuse($"to {target.PathAndQuery}"));
    }

    private static BmcExchange Headers(HttpResponseMessage response) => new()
    {
        Error = BmcError.None,
        Status = (int)response.StatusCode,
        Token = One(response.Headers, "X-Auth-Token"),
        Location = One(response.Headers, "Location"),
        ETag = One(response.Headers, "ETag"),
        RetryAfter = response.Headers.RetryAfter switch
        {
            { Delta: { } delta } => delta,
            // A BMC's clock is not believed: a date only says "later".
            { Date: not null } => TimeSpan.FromSeconds(10),
            _ => null,
        },
    };

    private static string? One(HttpResponseHeaders headers, string name) =>
        headers.NonValidated.TryGetValues(name, out HeaderStringValues values) && values.Count > 0 && values.First() is { Length: > 0 and < 8192 } value ? value : null;

    private async Task<byte[]> ReadBodyAsync(HttpResponseMessage response, CancellationToken cancel)
    {
        int max = _options.MaxBodyBytes;
        if (response.Content.Headers.ContentLength > max)
            throw new BodyTooLargeException(max);
        Stream raw = await response.Content.ReadAsStreamAsync(cancel).ConfigureAwait(false);
        string encoding = response.Content.Headers.ContentEncoding.LastOrDefault() ?? "";
        await using Stream stream = encoding.ToUpperInvariant() switch
        {
            "GZIP" or "X-GZIP" => new GZipStream(raw, CompressionMode.Decompress),
            "DEFLATE" => new ZLibStream(raw, CompressionMode.Decompress),
            _ => raw,
        };
        using MemoryStream body = new();
        byte[] piece = new byte[16 * 1024];
        while (await stream.ReadAsync(piece, cancel).ConfigureAwait(false) is > 0 and int read)
        {
            if (body.Length + read > max)
                throw new BodyTooLargeException(max);
            body.Write(piece, 0, read);
        }
        return body.ToArray();
    }

    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancel)
    {
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            // An event stream is silent for days: the kernel finds a dead peer within two minutes.
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 60);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 15);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 4);
            await socket.ConnectAsync(context.DnsEndPoint, cancel).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static Uri OriginOf(Uri url) => new(url.GetLeftPart(UriPartial.Authority) + "/");

    private static string Short(string text) => text.Length > 80 ? text[..80] + "…" : text;

    public void Dispose()
    {
        _invoker.Dispose();
        _handler.Dispose();
        _gate.Dispose();
    }

    private sealed class BodyTooLargeException(int limit) : IOException($"the body is larger than {limit} bytes");
}
