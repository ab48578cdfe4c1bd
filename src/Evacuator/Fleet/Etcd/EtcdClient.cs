using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Evacuator.Fleet.Etcd;

/// <summary>
/// Speaks with etcd's JSON gateway (versions 3.4 and later, POST /v3/…). Every call is bounded in time and size and ends in a value or in an <see cref="EtcdException"/>.
/// </summary>
/// <remarks>
/// A call goes to the member that answered last; when it fails, the next call begins with the next member. What only reads is tried at every member once. What writes is tried
/// again only if it was certainly never sent: a write that may have been done must be looked for, not repeated.
/// </remarks>
internal sealed class EtcdClient : IDisposable
{
    /// <summary>A page of a thousand keys of a few hundred bytes, in base64, with a wide margin.</summary>
    private const int MaxReplyBytes = 8 << 20;

    /// <summary>Keys in one answer; etcd itself refuses answers that are too large for gRPC.</summary>
    private const int PageKeys = 1000;

    /// <summary>Of a whole range: twice the containers of the largest fleet.</summary>
    private const int MaxKeys = 200_000;

    private static readonly MediaTypeHeaderValue JsonType = new("application/json");

    private readonly HttpClient _http;
    private readonly Uri[] _members;
    private readonly TimeSpan _limit;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private EtcdStanding _standing;
    private int _preferred;

    /// <param name="members">https://host:port of each</param>
    /// <param name="handler">makes connections; owned from now on</param>
    /// <param name="limit">of one attempt at one member</param>
    public EtcdClient(IEnumerable<string> members, HttpMessageHandler handler, TimeSpan limit, TimeProvider time)
    {
        _members = [.. members.Select(member => new Uri(member))];
        _limit = limit;
        _time = time;
        _standing = new EtcdStanding(false, "not asked so far", time.GetUtcNow(), null);
        _http = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan, MaxResponseContentBufferSize = MaxReplyBytes };
    }

    /// <summary>The clock that its limits go by.</summary>
    public TimeProvider Time => _time;

    public EtcdStanding Standing
    {
        get
        {
            lock (_lock)
                return _standing;
        }
    }

    public Task<EtcdRangeResponse> RangeAsync(EtcdRangeRequest request, CancellationToken token) => CallAsync<EtcdRangeResponse>("/v3/kv/range", request, reads: true, token);

    /// <summary>All keys that begin with a prefix, as of one revision, in their order.</summary>
    public async Task<EtcdSnapshot> RangeAllAsync(string prefix, CancellationToken token)
    {
        byte[] from = Encoding.UTF8.GetBytes(prefix);
        byte[] end = EndOf(from);
        List<EtcdPair> pairs = [];
        long revision = 0;
        while (true)
        {
            EtcdRangeResponse page = await RangeAsync(new EtcdRangeRequest { Key = from, RangeEnd = end, Limit = PageKeys, Revision = revision }, token).ConfigureAwait(false);
            if (revision == 0)
                revision = page.Header.Revision;
            pairs.AddRange(page.Kvs);
            if (!page.More || page.Kvs.Count == 0)
                return new EtcdSnapshot(revision, pairs);
            if (pairs.Count > MaxKeys)
                throw new EtcdException($"etcd holds more than {MaxKeys} keys below {prefix}: is [fleet] etcd-prefix shared with something else?", certain: true);
            // The next key in order is this one with a zero byte behind it.
            from = [.. page.Kvs[^1].Key, 0];
        }
    }

    /// <summary>A transaction that changes nothing.</summary>
    public Task<EtcdTxnResponse> ReadAsync(IReadOnlyList<EtcdOperation> ranges, CancellationToken token) =>
        CallAsync<EtcdTxnResponse>("/v3/kv/txn", new EtcdTxnRequest { Success = ranges }, reads: true, token);

    public Task<EtcdTxnResponse> TxnAsync(EtcdTxnRequest request, CancellationToken token) => CallAsync<EtcdTxnResponse>("/v3/kv/txn", request, reads: false, token);

    public Task PutAsync(byte[] key, byte[] value, long lease, CancellationToken token) =>
        CallAsync<EtcdNothing>("/v3/kv/put", new EtcdPutRequest { Key = key, Value = value, Lease = lease }, reads: false, token);

    public Task DeleteAsync(byte[] key, CancellationToken token) => CallAsync<EtcdNothing>("/v3/kv/deleterange", new EtcdDeleteRequest { Key = key }, reads: false, token);

    public async Task<long> GrantAsync(TimeSpan ttl, CancellationToken token)
    {
        EtcdLease lease = await CallAsync<EtcdLease>("/v3/lease/grant", new EtcdLeaseRequest { Ttl = (long)Math.Ceiling(ttl.TotalSeconds) }, reads: false, token).ConfigureAwait(false);
        return lease.Id != 0 ? lease.Id : throw new EtcdException("etcd granted a lease without an id", certain: false);
    }

    /// <summary>False when the lease is over, with all its keys. May be repeated without harm, so it is tried at every member.</summary>
    public async Task<bool> KeepAliveAsync(long lease, CancellationToken token) =>
        (await CallAsync<EtcdStreamed<EtcdLease>>("/v3/lease/keepalive", new EtcdLeaseRequest { Id = lease }, reads: true, token).ConfigureAwait(false)).Result is { Ttl: > 0 };

    public Task RevokeAsync(long lease, CancellationToken token) => CallAsync<EtcdNothing>("/v3/lease/revoke", new EtcdLeaseRequest { Id = lease }, reads: false, token);

    public void Dispose() => _http.Dispose();

    /// <summary>The end of the range of all keys that begin with these bytes.</summary>
    public static byte[] EndOf(byte[] prefix)
    {
        byte[] end = [.. prefix];
        for (int i = end.Length - 1; i >= 0; i--)
        {
            if (end[i] == 0xff)
                continue;
            end[i]++;
            return end[..(i + 1)];
        }

        return [0]; // etcd's word for "to the end"
    }

    private async Task<T> CallAsync<T>(string path, object request, bool reads, CancellationToken token)
    {
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(request, request.GetType(), EtcdJson.Options);
        int first = Volatile.Read(ref _preferred);
        List<string> problems = [];
        for (int attempt = 0; ; attempt++)
        {
            int index = (first + attempt) % _members.Length;
            try
            {
                T answer = await AskAsync<T>(_members[index], path, body, token).ConfigureAwait(false);
                Note(null);
                return answer;
            }
            catch (EtcdException e)
            {
                Interlocked.CompareExchange(ref _preferred, (index + 1) % _members.Length, index);
                problems.Add(e.Message);
                // Something is wrong with the question, not with the member: another would say the same.
                bool answered = e.InnerException is null && e.IsCertain;
                if (answered || attempt + 1 >= _members.Length || !(reads || e.IsCertain))
                {
                    string problem = string.Join("; ", problems.Distinct());
                    Note(answered ? null : problem);
                    throw attempt == 0 ? e : new EtcdException(problem, reads || e.IsCertain, e);
                }
            }
        }
    }

    private async Task<T> AskAsync<T>(Uri member, string path, byte[] body, CancellationToken token)
    {
        // Linked: the caller's cancellation; this attempt's limit.
        using CancellationTokenSource limit = new(_limit, _time);
        using CancellationTokenSource bounded = CancellationTokenSource.CreateLinkedTokenSource(token, limit.Token);
        try
        {
            using HttpRequestMessage message = new(HttpMethod.Post, new Uri(member, path)) { Content = new ByteArrayContent(body) };
            message.Content.Headers.ContentType = JsonType;
            using HttpResponseMessage response = await _http.SendAsync(message, bounded.Token).ConfigureAwait(false);
            byte[] text = await response.Content.ReadAsByteArrayAsync(bounded.Token).ConfigureAwait(false);
            if (!response.IsSuccessStatusCode)
                throw Refused(member, response.StatusCode, text);
            return JsonSerializer.Deserialize<T>(text, EtcdJson.Options) ?? throw new EtcdException($"etcd at {member.Authority} sent an empty answer", certain: false);
        }
        catch (HttpRequestException e)
        {
            // Only what failed before the connection was there was certainly not sent.
            bool unsent = e.HttpRequestError is HttpRequestError.NameResolutionError or HttpRequestError.ConnectionError or HttpRequestError.SecureConnectionError;
            throw new EtcdException($"etcd at {member.Authority} does not answer: {Innermost(e)}", unsent, e);
        }
        catch (OperationCanceledException e) when (!token.IsCancellationRequested)
        {
            throw new EtcdException($"etcd at {member.Authority} did not answer within {_limit.TotalSeconds:0.#} s", certain: false, e);
        }
        catch (JsonException e)
        {
            throw new EtcdException($"{member.Authority} does not answer like etcd 3.4: {e.Message}", certain: false, e);
        }
    }

    /// <summary>gRPC's codes for what was looked at and not done: invalid, not found, exists, not permitted, no room, precondition, out of range, not known, who are you.</summary>
    private static EtcdException Refused(Uri member, HttpStatusCode status, byte[] text)
    {
        EtcdError? error = null;
        try
        {
            error = JsonSerializer.Deserialize<EtcdError>(text, EtcdJson.Options);
        }
        catch (JsonException)
        {
            // Not etcd's own words: the status has to do.
        }

        bool certain = error?.Code is 3 or 5 or 6 or 7 or 8 or 9 or 11 or 12 or 16;
        string words = error?.Message ?? error?.Error ?? $"status {(int)status}";
        return new EtcdException($"etcd at {member.Authority}: {(words.Length > 300 ? words[..300] : words)}", certain);
    }

    private void Note(string? problem)
    {
        DateTimeOffset now = _time.GetUtcNow();
        lock (_lock)
        {
            _standing = problem is null
                ? new EtcdStanding(true, "", _standing.Answers ? _standing.Since : now, now)
                : new EtcdStanding(false, problem, _standing.Answers || _standing.LastAnswer is null && _standing.Problem == "not asked so far" ? now : _standing.Since, _standing.LastAnswer);
        }
    }

    /// <summary>TLS failures hide their reason, such as an unknown authority, several exceptions deep.</summary>
    private static string Innermost(Exception e)
    {
        while (e.InnerException is not null)
            e = e.InnerException;
        return e.Message;
    }
}

/// <param name="Revision">as of which all of it is</param>
internal sealed record EtcdSnapshot(long Revision, IReadOnlyList<EtcdPair> Pairs);
