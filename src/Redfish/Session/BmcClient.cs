using System.Text;
using System.Text.Json.Nodes;
using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Session;

/// <summary>
/// One BMC. Logs in when first needed, keeps one session, repeats reads where that helps and nothing else, and deletes the session on dispose.
/// Thread-safe; requests queue up so that no more than <see cref="BmcOptions.MaxConcurrency"/> are under way. Methods throw only for a cancelled token or after dispose.
/// </summary>
public sealed partial class BmcClient : IResourceReader, IAsyncDisposable
{
    /// <summary>Where every Redfish service starts.</summary>
    public const string RootUri = "/redfish/v1/";

    private const string JsonType = "application/json";

    private readonly BmcOptions _options;
    private readonly TimeProvider _time;
    private readonly BmcTransport _transport;
    private readonly SessionKeeper _sessions;
    private readonly RetryRule _retry;
    private int _disposed;

    /// <param name="options">Must have no <see cref="BmcOptions.Problems"/>.</param>
    /// <param name="time">Clock for time limits and waits.</param>
    /// <param name="random">Source of jitter; may be shared between clients.</param>
    public BmcClient(BmcOptions options, TimeProvider time, Random random)
    {
        if (options.Problems() is { Count: > 0 } problems)
            throw new ArgumentException(string.Join("; ", problems), nameof(options));
        _options = options;
        _time = time;
        _transport = new BmcTransport(options, time);
        _sessions = new SessionKeeper(_transport, options, time);
        _retry = new RetryRule(options.Timeouts, random);
    }

    public BmcOptions Options => _options;

    /// <summary>HTTP requests sent so far, logins and streams included.</summary>
    public long RequestCount => _transport.Requests;

    /// <summary>Fingerprint that the BMC presented last; null before the first handshake.</summary>
    public string? PresentedFingerprint => _transport.PresentedFingerprint;

    /// <summary>How requests authenticate: "session", "basic" or "none".</summary>
    public string AuthenticationMode => _sessions.Mode;

    /// <summary>What is not as it should be without being an error, such as a state folder that cannot be written.</summary>
    public IReadOnlyList<string> Warnings => _sessions.Problem is { } problem ? [problem] : [];

    /// <summary>Reads the service root and logs in. Everything else does this by itself; this finds out early, and why not.</summary>
    public async Task<BmcReply> ConnectAsync(CancellationToken cancel)
    {
        BmcReply root = await GetRootAsync(cancel).ConfigureAwait(false);
        return root.Succeeded && root.Resource is null
            ? root with { Error = BmcError.Malformed, Message = $"{_transport.Origin}redfish/v1/ is no Redfish service: its answer is no JSON object" }
            : root;
    }

    // Some services lack the resource with the slash, though the standard names it so.
    private async Task<BmcReply> GetRootAsync(CancellationToken cancel)
    {
        BmcReply root = await GetAsync(RootUri, cancel).ConfigureAwait(false);
        return root.Error == BmcError.NotFound ? await GetAsync(RootUri.TrimEnd('/'), cancel).ConfigureAwait(false) : root;
    }

    /// <inheritdoc/>
    public async Task<ReadResult> ReadAsync(string uri, CancellationToken cancel)
    {
        BmcReply reply = await (uri == RootUri ? GetRootAsync(cancel) : GetAsync(uri, cancel)).ConfigureAwait(false);
        if (reply is { Succeeded: true, Resource: { } resource })
            return ReadResult.Found(resource);
        ReadOutcome outcome = reply.Error switch
        {
            BmcError.NotFound or BmcError.NotSupported => ReadOutcome.NotFound,
            BmcError.Forbidden or BmcError.PasswordChangeRequired or BmcError.Rejected or BmcError.Conflict or BmcError.PreconditionFailed => ReadOutcome.Forbidden,
            BmcError.CredentialsRefused or BmcError.SessionTableFull => ReadOutcome.Unauthorized,
            BmcError.Timeout => ReadOutcome.Timeout,
            BmcError.TooLarge => ReadOutcome.TooLarge,
            BmcError.Malformed or BmcError.None => ReadOutcome.Malformed,
            BmcError.NoTrust or BmcError.CertificateChanged or BmcError.CertificateUntrusted or BmcError.RedirectedElsewhere => ReadOutcome.Refused,
            _ => ReadOutcome.Unavailable,
        };
        return ReadResult.Failed(outcome, reply.Message);
    }

    /// <summary>Reads, with retries. Success means a 2xx with a JSON object, or a 2xx without a body.</summary>
    public Task<BmcReply> GetAsync(string uri, CancellationToken cancel) =>
        ExchangeAsync(new BmcRequest(HttpMethod.Get, RedfishUri.WithoutFragment(uri)), repeat: true, cancel);

    /// <summary>Sends an action or creates something. Never repeated, except once after a new login when the BMC had forgotten the session: nothing was done then.</summary>
    public Task<BmcReply> PostAsync(string uri, JsonObject body, CancellationToken cancel) =>
        ExchangeAsync(new BmcRequest(HttpMethod.Post, uri) { Body = Bytes(body) }, repeat: false, cancel);

    /// <summary>Deletes. Repeating it changes nothing, so it is repeated like a read.</summary>
    public Task<BmcReply> DeleteAsync(string uri, CancellationToken cancel) =>
        ExchangeAsync(new BmcRequest(HttpMethod.Delete, uri), repeat: true, cancel);

    /// <summary>
    /// Changes properties. BMCs disagree about ETags, so the resource is read first and its ETag sent as it came (Lenovo insists), then in strong form (AMI), then not at all;
    /// each time only if the one before was refused with 412 or 428, and read anew.
    /// </summary>
    public async Task<BmcReply> PatchAsync(string uri, JsonObject body, CancellationToken cancel)
    {
        uri = RedfishUri.WithoutFragment(uri);
        byte[] bytes = Bytes(body);
        BmcReply reply = new() { Error = BmcError.PreconditionFailed };
        bool sentNone = false;
        foreach (Func<string?, string?>? form in new Func<string?, string?>?[] { ETags.AsSent, ETags.Strong, null })
        {
            string? etag = null;
            if (form is not null)
            {
                BmcReply before = await GetAsync(uri, cancel).ConfigureAwait(false);
                if (!before.Succeeded && before.Error is not (BmcError.Malformed or BmcError.NotSupported))
                    return before;
                etag = form(before.ETag);
            }
            // A strong ETag looks the same in both forms; it is sent again all the same, because it was read anew: iDRAC10 refuses the first and takes the second.
            if (etag is null && sentNone)
                continue;
            sentNone |= etag is null;
            reply = await ExchangeAsync(new BmcRequest(HttpMethod.Patch, uri) { Body = bytes, IfMatch = etag }, repeat: false, cancel).ConfigureAwait(false);
            if (reply.Error != BmcError.PreconditionFailed)
                return reply;
        }
        return reply with { Message = $"{reply.Message} (the ETag was sent as given, in strong form, and left out)" };
    }

    /// <summary>Which session is in use, counted up with each login: a change means that the BMC had forgotten us, most likely by a restart.</summary>
    internal int SessionGeneration => _sessions.Generation;

    /// <summary>Opens an event stream; one new login if the session was forgotten, no other repetition.</summary>
    internal async Task<(BmcStream? Stream, BmcReply Reply)> OpenStreamAsync(string uri, CancellationToken cancel)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        BmcRequest request = new(HttpMethod.Get, uri) { Accept = "text/event-stream" };
        for (int logins = 0; ; logins++)
        {
            LoginResult login = await _sessions.GetAsync(cancel).ConfigureAwait(false);
            if (login.Error != BmcError.None)
                return (null, Certified(new BmcReply { Error = login.Error, Message = login.Message, RetryAfter = login.RetryAfter }));
            (BmcStream? stream, BmcExchange answer) = await _transport.OpenStreamAsync(request with { Credential = login.Credential }, cancel).ConfigureAwait(false);
            if (stream is not null)
                _sessions.Proven(login);
            else if (answer.Error == BmcError.CredentialsRefused && logins == 0 && _sessions.Refused(login))
                continue;
            return (stream, Reply(request, answer with { Body = [] }));
        }
    }

    private async Task<BmcReply> ExchangeAsync(BmcRequest request, bool repeat, CancellationToken cancel)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        long start = _time.GetTimestamp();
        bool loggedInAgain = false;
        for (int attempt = 1; ; attempt++)
        {
            LoginResult login = await _sessions.GetAsync(cancel).ConfigureAwait(false);
            BmcReply reply;
            if (login.Error != BmcError.None)
            {
                reply = Certified(new BmcReply { Error = login.Error, Message = login.Message, RetryAfter = login.RetryAfter });
                // A full table empties in minutes at best, and every further login attempt is one more load.
                if (reply.Error == BmcError.SessionTableFull)
                    return reply;
            }
            else
            {
                BmcExchange answer = await _transport.SendAsync(request with { Credential = login.Credential }, cancel).ConfigureAwait(false);
                if (answer.Error == BmcError.CredentialsRefused && !loggedInAgain && _sessions.Refused(login))
                {
                    loggedInAgain = true;
                    attempt--;
                    continue;
                }
                if (answer.IsSuccessStatus)
                    _sessions.Proven(login);
                if (answer.Status == 406 && !request.AnyEncoding && request.Method == HttpMethod.Get)
                {
                    request = request with { AnyEncoding = true };
                    attempt--;
                    continue;
                }
                reply = Reply(request, answer);
            }
            // Where the login failed nothing was sent, but a login repeats itself with the next request soon enough.
            if (reply.Succeeded || !repeat || _retry.Next(attempt, reply.Error, reply.RetryAfter, _time.GetElapsedTime(start)) is not { } wait)
                return reply;
            request = request with { FreshConnection = reply.Error is BmcError.Unreachable or BmcError.Malformed };
            await Task.Delay(wait, _time, cancel).ConfigureAwait(false);
        }
    }

    private BmcReply Reply(BmcRequest request, BmcExchange answer)
    {
        RedfishResource? resource = null;
        string problem = "";
        if (answer.Body.Length > 0)
            resource = RedfishResource.TryParse(answer.Body, request.Target, answer.ETag, out problem);
        BmcReply reply = new()
        {
            Error = answer.Error,
            Message = answer.Message,
            Status = answer.Status,
            Resource = resource,
            Location = answer.Location,
            ETag = answer.ETag ?? resource?.ETag,
            RetryAfter = answer.RetryAfter,
            MessageKeys = answer.Details?.MessageKeys ?? [],
            Named = answer.Details?.Named ?? [],
        };
        // What a read brings must be an object; what a change answers does not matter beyond its status.
        if (answer.Succeeded && request.Method == HttpMethod.Get && resource is null && request.Accept == JsonType)
        {
            string why = answer.Body.Length == 0 ? "an empty body" : problem;
            return reply with { Error = BmcError.Malformed, Message = $"{request.Method} {_transport.Origin.GetLeftPart(UriPartial.Authority)}{request.Target} answered {answer.Status} with {why}" };
        }
        return Certified(reply);
    }

    private BmcReply Certified(BmcReply reply) =>
        reply.Error == BmcError.CertificateChanged && _transport.LastCertificates is { } both ? reply with { Certificates = both } : reply;

    private static byte[] Bytes(JsonObject body) => Encoding.UTF8.GetBytes(body.ToJsonString());

    /// <summary>Ends as a killed process does: connections and files are closed by the kernel, the session stays at the BMC. For tests of what the next start finds.</summary>
    internal void AbandonForTest()
    {
        Interlocked.Exchange(ref _disposed, 1);
        _sessions.Dispose();
        _transport.Dispose();
    }

    /// <summary>Deletes the session at the BMC (waits for it, bounded by <see cref="BmcTimeouts.Logout"/>) and closes the connections.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        await _sessions.CloseAsync().ConfigureAwait(false);
        _transport.Dispose();
    }
}
