using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Fleet;

namespace Evacuator.Fleet.Authority;

/// <summary>A node's way to the fleet's authority. Whatever goes wrong ends in a <see cref="FleetSetupException"/> that says what to do.</summary>
internal sealed class AuthorityClient : IDisposable
{
    public const int DefaultPort = 7363;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly HttpClient _http;
    private readonly string _at;

    /// <param name="own">null before this host has a certificate of the fleet</param>
    public AuthorityClient(DnsEndPoint at, FleetAuthorities authorities, X509Certificate2? own, TimeProvider time)
        : this(at, AuthorityTls.ForClient(at.Host, authorities, own, time))
    {
    }

    private AuthorityClient(DnsEndPoint at, SslClientAuthenticationOptions tls)
    {
        _at = Text(at);
        SocketsHttpHandler handler = new() { SslOptions = tls, UseProxy = false, UseCookies = false, AllowAutoRedirect = false, ConnectTimeout = TimeSpan.FromSeconds(10) };
        handler.ConnectCallback = async (context, token) =>
        {
            Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                await socket.ConnectAsync(context.DnsEndPoint, token).ConfigureAwait(false);
                LocalAddress = (socket.LocalEndPoint as IPEndPoint)?.Address;
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        };
        _http = new HttpClient(handler) { BaseAddress = new UriBuilder("https", at.Host, at.Port).Uri, Timeout = Limit, MaxResponseContentBufferSize = SignedRoster.MaxSize * 2L };
    }

    /// <summary>Our own address on the way to the authority, which is the one that the other nodes reach as a rule; null before the first answer.</summary>
    public IPAddress? LocalAddress { get; private set; }

    /// <summary>host, host:port or [address]:port.</summary>
    public static DnsEndPoint ParseAddress(string text)
    {
        string host = text;
        int port = DefaultPort;
        int colon = text.LastIndexOf(':');
        bool bareIpv6 = IPAddress.TryParse(text, out IPAddress? address) && address.AddressFamily == AddressFamily.InterNetworkV6 && !text.StartsWith('[');
        if (colon > 0 && !bareIpv6 && !text.EndsWith(']'))
        {
            if (!int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port) || port is < 1 or > 65535)
                throw new FleetSetupException($"\"{text}\": write HOST or HOST:PORT");
            host = text[..colon];
        }

        host = host.Trim('[', ']');
        return Common.Configuration.PeersFile.IsAddress(host) ? new DnsEndPoint(host, port) : throw new FleetSetupException($"\"{text}\": write HOST or HOST:PORT");
    }

    public static string Text(DnsEndPoint at) => at.Host.Contains(':', StringComparison.Ordinal) ? $"[{at.Host}]:{at.Port}" : $"{at.Host}:{at.Port}";

    /// <summary>
    /// The authority's certificate, from a host of which nothing is known: nothing is sent to it, and what it says counts only if it has this fingerprint.
    /// </summary>
    /// <param name="fingerprint">SHA-256 of the certificate, hex, as the token has it</param>
    public static async Task<Acquaintance> MeetAsync(DnsEndPoint at, string fingerprint, CancellationToken token)
    {
        using AuthorityClient stranger = new(at, AuthorityTls.ForStranger(at.Host));
        Introduction said = await stranger.CallAsync<Introduction>(HttpMethod.Get, AuthorityRoutes.Introduction, null, token).ConfigureAwait(false);
        X509Certificate2 certificate;
        try
        {
            certificate = X509Certificate2.CreateFromPem(said.Certificate);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new FleetSetupException($"{Text(at)} showed something that is no certificate: {e.Message}", e);
        }

        string shown = certificate.GetCertHashString(HashAlgorithmName.SHA256);
        if (CryptographicOperations.FixedTimeEquals(Convert.FromHexString(shown), Convert.FromHexString(fingerprint)))
            return new Acquaintance(certificate, said.Time, stranger.LocalAddress);
        certificate.Dispose();
        throw new FleetSetupException($"{Text(at)} is not the authority that made this token: its fingerprint is {shown}, the token's is {fingerprint}. Nothing was sent to it. Is it the right host?");
    }

    public Task<JoinReply> JoinAsync(JoinRequest request, CancellationToken token) => CallAsync<JoinReply>(HttpMethod.Post, AuthorityRoutes.Join, request, token);

    public Task<RenewReply> RenewAsync(string request, CancellationToken token) => CallAsync<RenewReply>(HttpMethod.Post, AuthorityRoutes.Renew, new RenewRequest(request), token);

    public Task<LeaveReply> LeaveAsync(CancellationToken token) => CallAsync<LeaveReply>(HttpMethod.Post, AuthorityRoutes.Leave, null, token);

    /// <summary>The signed list, as text.</summary>
    public async Task<string> RosterAsync(CancellationToken token)
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Get, AuthorityRoutes.Roster, null, token).ConfigureAwait(false);
        return await response.Content.ReadAsStringAsync(token).ConfigureAwait(false);
    }

    public void Dispose() => _http.Dispose();

    private async Task<T> CallAsync<T>(HttpMethod method, string path, object? body, CancellationToken token)
    {
        using HttpResponseMessage response = await SendAsync(method, path, body, token).ConfigureAwait(false);
        try
        {
            return await response.Content.ReadFromJsonAsync<T>(ApiJson.Options, token).ConfigureAwait(false) ?? throw new FleetSetupException($"{_at} sent an empty answer");
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw new FleetSetupException($"{_at} is no authority of a fleet, or one of another release: {e.Message}", e);
        }
    }

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
        catch (HttpRequestException e)
        {
            Exception cause = e;
            while (cause.InnerException is not null)
                cause = cause.InnerException;
            if (cause is AuthenticationException)
                throw new AuthorityChangedException($"the fleet's authority at {_at} cannot be used: {cause.Message}", e);
            string hint = ": is evacuator-authority.service running there (\"systemctl enable --now evacuator-authority\"), and does the network let this host reach the port?";
            throw new FleetSetupException($"the fleet's authority at {_at} cannot be used: {cause.Message}{hint}", e);
        }
        catch (OperationCanceledException e) when (!token.IsCancellationRequested)
        {
            throw new FleetSetupException($"the fleet's authority at {_at} did not answer within {Limit.TotalSeconds:0} s", e);
        }

        if (response.IsSuccessStatusCode)
            return response;
        using (response)
        {
            string text = $"answered {(int)response.StatusCode}";
            try
            {
                if (await response.Content.ReadFromJsonAsync<ErrorReply>(ApiJson.Options, token).ConfigureAwait(false) is { Error.Length: > 0 } error)
                    text = error.Error;
            }
            catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException)
            {
                // Not our JSON: the status has to do.
            }

            throw response.StatusCode == HttpStatusCode.Unauthorized
                ? new AuthorityChangedException($"the fleet's authority at {_at} refused: {text}")
                : new FleetSetupException($"the fleet's authority at {_at} refused: {text}");
        }
    }
}

/// <summary>
/// The authority and this node do not believe each other's certificates. As a rule: it was replaced while this node was away, or this node's certificates ended.
/// </summary>
internal sealed class AuthorityChangedException(string message, Exception? inner = null) : FleetSetupException(message, inner);

/// <summary>An authority that has shown the certificate that was expected.</summary>
/// <param name="Authority">to be disposed by the caller</param>
/// <param name="Time">its clock</param>
/// <param name="LocalAddress">this host's address on the way to it</param>
internal sealed record Acquaintance(X509Certificate2 Authority, DateTimeOffset Time, IPAddress? LocalAddress);
