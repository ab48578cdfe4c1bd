using System.Text;
using System.Text.Json.Nodes;
using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Session;

/// <summary>
/// Holds the one session of a client: logs in when first needed, again when the BMC has forgotten the token, and deletes what it opened.
/// A login that was refused is not repeated with the same password until a growing hold-off has passed, because three tries can lock an account.
/// </summary>
internal sealed class SessionKeeper : IDisposable
{
    // A token younger than this that is refused was not forgotten: logging in again would only fill the session table.
    private static readonly TimeSpan TokenGrace = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan BasicLife = TimeSpan.FromMinutes(10);

    private static readonly string[] FallbackUris = ["/redfish/v1/SessionService/Sessions", "/redfish/v1/Sessions"];

    private readonly BmcTransport _transport;
    private readonly BmcOptions _options;
    private readonly TimeProvider _time;
    private readonly SessionFile _file;
    private readonly Lock _lock = new();
    private Task<LoginResult>? _login;
    private LoginResult? _current;
    private bool _proven;
    private string? _sessionsUri;
    private readonly LoginHoldOff _holdOff;
    private volatile string _holdOffKey = "";
    private bool _closed;
    private int _generation;

    public SessionKeeper(BmcTransport transport, BmcOptions options, TimeProvider time)
    {
        _transport = transport;
        _options = options;
        _time = time;
        _holdOff = LoginHoldOff.For(time);
        _file = SessionFile.Open(options.User is null ? null : options.StateFolder, options.Url, options.User ?? "");
    }

    /// <summary>Why sessions are not remembered on disk; null when they are or need not be.</summary>
    public string? Problem => _file.Problem;

    /// <summary>Counts up with each login.</summary>
    public int Generation => Volatile.Read(ref _generation);

    /// <summary>How requests authenticate now, for people: "session", "basic", "none".</summary>
    public string Mode
    {
        get
        {
            lock (_lock)
                return _current?.Credential switch { { Token: not null } => "session", { Basic: not null } => "basic", _ => "none" };
        }
    }

    /// <summary>The credential for a request; logs in first if there is none. One login at a time, shared by all who wait.</summary>
    public async Task<LoginResult> GetAsync(CancellationToken cancel)
    {
        if (_options.User is null)
            return LoginResult.Anonymous;
        Task<LoginResult> login;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            // Basic is a makeshift: look again whether there are sessions after all (the BMC may have been starting).
            if (_current is { Credential.Basic: not null } makeshift && _time.GetElapsedTime(makeshift.Since) > BasicLife)
                _current = null;
            if (_current is not null)
                return _current;
            // Not cancelled with its first caller: an answer nobody takes would be a session nobody deletes.
            login = _login ??= LoginOnceAsync();
        }
        return await login.WaitAsync(cancel).ConfigureAwait(false);
    }

    /// <summary>The BMC answered a request with this credential: it is alive.</summary>
    public void Proven(LoginResult used)
    {
        lock (_lock)
        {
            if (!ReferenceEquals(_current, used))
                return;
            if (!_proven)
                _holdOff.Forget(_holdOffKey);
            _proven = true;
        }
    }

    /// <summary>
    /// The BMC refused a request with this credential. True when a new login is worth a try: the session worked before or is old enough to have been forgotten.
    /// The old session stays noted until it has been deleted, since it may still be alive.
    /// </summary>
    public bool Refused(LoginResult used)
    {
        lock (_lock)
        {
            if (!ReferenceEquals(_current, used))
                // Another request was refused first and dropped it: share what comes of that.
                return true;
            if (used.Credential.Basic is not null && !_proven)
            {
                // Each request is a login here: the next one must not try again.
                _current = null;
                _holdOff.Note(_holdOffKey, LoginResult.Failed(BmcError.CredentialsRefused, $"user {_options.User} or its password is refused by {_options.Url.Authority}"));
                return false;
            }
            if (used.Credential.Token is null || (!_proven && _time.GetElapsedTime(used.Since) < TokenGrace))
                return false;
            _current = null;
            _proven = false;
            return true;
        }
    }

    private async Task<LoginResult> LoginOnceAsync()
    {
        // The caller holds the lock: the rest must run outside of it.
        await Task.Yield();
        LoginResult result;
        try
        {
            result = await LoginAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            result = LoginResult.Failed(BmcError.CredentialsRefused, $"the password for {_options.User} at {_options.Url.Authority} cannot be read: {e.Message}");
        }
        lock (_lock)
        {
            _login = null;
            if (result.Error == BmcError.None)
            {
                _current = result;
                _proven = false;
                _generation++;
            }
        }
        return result;
    }

    private async Task<LoginResult> LoginAsync()
    {
        string password = await _options.Password!(CancellationToken.None).ConfigureAwait(false);
        _holdOffKey = LoginHoldOff.KeyOf(_options.Url, _options.User!, password);
        if (_holdOff.Held(_holdOffKey) is { } held)
            return held;

        LoginResult result = await TryAllUrisAsync(password).ConfigureAwait(false);
        if (result.Error == BmcError.SessionTableFull && _file.Sessions.Count > 0)
        {
            // The sessions that fill the table may be those a crash left: Basic can delete them where no login is possible.
            await DeleteSessionsAsync(_file.Sessions, new Credential(null, BasicOf(password))).ConfigureAwait(false);
            result = await TryAllUrisAsync(password).ConfigureAwait(false);
        }
        if (result.Error is BmcError.CredentialsRefused or BmcError.PasswordChangeRequired)
            _holdOff.Note(_holdOffKey, result);
        if (result.Error == BmcError.None && result.Credential.Token is not null)
            await DeleteSessionsAsync([.. _file.Sessions.Where(s => s != result.SessionUri)], result.Credential).ConfigureAwait(false);
        return result;
    }

    private async Task<LoginResult> TryAllUrisAsync(string password)
    {
        (List<string> uris, LoginResult? unreachable) = await FindSessionsUrisAsync().ConfigureAwait(false);
        if (unreachable is not null)
            return unreachable;
        byte[] body = Encoding.UTF8.GetBytes(new JsonObject { ["UserName"] = _options.User, ["Password"] = password }.ToJsonString());
        foreach (string uri in uris)
        {
            BmcExchange answer = await _transport.SendAsync(new BmcRequest(HttpMethod.Post, uri) { Body = body }, CancellationToken.None).ConfigureAwait(false);
            // Headers decide: a reply cut off behind them has opened a session all the same.
            if (answer.IsSuccessStatus && answer.Token is { } token)
                return await OpenedAsync(uri, answer, token).ConfigureAwait(false);
            if (answer.IsSuccessStatus)
            {
                // Old Supermicro firmware answers 200 to a wrong password.
                return LoginResult.Failed(answer.Succeeded ? BmcError.CredentialsRefused : answer.Error,
                    answer.Succeeded ? $"POST {uri} at {_options.Url.Authority} answered {answer.Status} without a token: user {_options.User} or its password is refused" : answer.Message);
            }
            // A service without the resource may say 401 instead of 404 to who has not logged in; the place the root links to exists, though.
            bool guessed = uri != uris[0];
            if (answer.Error is BmcError.NotFound or BmcError.NotSupported || (guessed && answer.Error == BmcError.CredentialsRefused))
                continue;
            BmcError error = answer.Error == BmcError.Forbidden ? BmcError.CredentialsRefused : answer.Error;
            string advice = error == BmcError.CredentialsRefused ? $"; user {_options.User} or its password is refused, or the account is locked" : "";
            return LoginResult.Failed(error, answer.Message + advice, answer.RetryAfter);
        }
        if (_sessionsUri is not null)
        {
            // Where sessions were opened before, there is nothing now: another firmware. Look from the start.
            _sessionsUri = null;
            return await TryAllUrisAsync(password).ConfigureAwait(false);
        }
        // No service for sessions at all: the only case for Basic, since every such request is a login in the BMC's log.
        return new LoginResult(BmcError.None, "", new Credential(null, BasicOf(password)), null, _time.GetTimestamp());
    }

    private async Task<LoginResult> OpenedAsync(string uri, BmcExchange answer, string token)
    {
        RedfishResource? body = RedfishResource.TryParse(answer.Body, uri, null, out _);
        string? session = answer.Location ?? body?.Link("@odata.id");
        if (session is not null)
            _file.Add(session);
        _sessionsUri = uri;
        LoginResult opened = new(BmcError.None, "", new Credential(token, null), session, _time.GetTimestamp());
        if (!ErrorBody.Parse(answer.Body).Has("PasswordChangeRequired"))
            return opened;
        if (session is not null)
            await DeleteSessionsAsync([session], opened.Credential).ConfigureAwait(false);
        return LoginResult.Failed(BmcError.PasswordChangeRequired,
            $"the BMC at {_options.Url.Authority} wants the password of {_options.User} changed before anything else: log in to it by hand and set a new one");
    }

    /// <summary>Where sessions are opened: what the root links to, then what it implies, then where old firmware has it.</summary>
    private async Task<(List<string> Uris, LoginResult? Failure)> FindSessionsUrisAsync()
    {
        if (_sessionsUri is { } known)
            return ([known], null);
        BmcExchange root = await _transport.SendAsync(new BmcRequest(HttpMethod.Get, BmcClient.RootUri), CancellationToken.None).ConfigureAwait(false);
        // A password goes only to a service that answers as one: not where the root leads elsewhere, wants TLS first, or is in trouble.
        if (root.Status == 0 || root.Error is BmcError.RedirectedElsewhere or BmcError.NoTrust or BmcError.Overloaded or BmcError.ServerFailed)
            return ([], LoginResult.Failed(root.Error, root.Message, root.RetryAfter));
        List<string> uris = [];
        if (root.Succeeded && RedfishResource.TryParse(root.Body, BmcClient.RootUri, root.ETag, out _) is { } resource)
        {
            if (resource.Link("Links", "Sessions") is { } linked)
                uris.Add(linked);
            else if (resource.Link("SessionService") is { } service)
                uris.Add(service.TrimEnd('/') + "/Sessions");
            else if (!resource.Mentions("SessionService") && resource.Link("Systems") is not null)
                return ([], null);
        }
        foreach (string fallback in FallbackUris)
            if (!uris.Any(u => RedfishUri.Same(u, fallback)))
                uris.Add(fallback);
        return (uris, null);
    }

    private async Task DeleteSessionsAsync(IReadOnlyList<string> sessions, Credential credential)
    {
        foreach (string session in sessions)
        {
            BmcExchange answer = await _transport.SendAsync(new BmcRequest(HttpMethod.Delete, session) { Credential = credential }, CancellationToken.None).ConfigureAwait(false);
            if (Gone(answer))
                _file.Remove(session);
        }
    }

    // 401 and 404 both mean that the session no longer exists; with Basic a 401 says nothing about it.
    private static bool Gone(BmcExchange answer) =>
        answer.IsSuccessStatus || answer.Error is BmcError.NotFound or BmcError.NotSupported;

    /// <summary>Deletes every session of ours. Not cancellable, but bounded: a session left behind takes one of few places at the BMC.</summary>
    public async Task CloseAsync()
    {
        Task<LoginResult>? login;
        lock (_lock)
        {
            _closed = true;
            login = _login;
        }
        if (login is not null)
            await login.ConfigureAwait(false);
        LoginResult? current;
        lock (_lock)
            (current, _current) = (_current, null);
        if (current?.Credential.Token is not null)
        {
            using CancellationTokenSource limit = new(_options.Timeouts.Logout, _time);
            // The own session last: it is what the others are deleted with.
            string[] others = [.. _file.Sessions.Where(s => s != current.SessionUri)];
            foreach (string session in current.SessionUri is { } own ? [.. others, own] : others)
                await LogoutAsync(session, current.Credential, limit.Token).ConfigureAwait(false);
        }
        _file.Dispose();
    }

    private async Task LogoutAsync(string session, Credential credential, CancellationToken limit)
    {
        for (int attempt = 0; attempt < 3; attempt++)
        {
            try
            {
                BmcRequest request = new(HttpMethod.Delete, session) { Credential = credential, FreshConnection = attempt > 0 };
                BmcExchange answer = await _transport.SendAsync(request, limit).ConfigureAwait(false);
                if (Gone(answer) || answer.Error == BmcError.CredentialsRefused)
                {
                    _file.Remove(session);
                    return;
                }
                if (answer.Error is not (BmcError.Overloaded or BmcError.ServerFailed or BmcError.Unreachable))
                    return;
                await Task.Delay(_options.Timeouts.RetryBase, _time, limit).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // Out of time: the file names the session for the next start.
                return;
            }
        }
    }

    private string BasicOf(string password) => Convert.ToBase64String(Encoding.UTF8.GetBytes($"{_options.User}:{password}"));

    /// <summary>Gives the file free and deletes nothing at the BMC.</summary>
    public void Dispose() => _file.Dispose();
}

/// <summary>What a login came to. <c>Since</c> is a timestamp of the clock in use.</summary>
internal sealed record LoginResult(BmcError Error, string Message, Credential Credential, string? SessionUri, long Since, TimeSpan? RetryAfter = null)
{
    public static LoginResult Anonymous { get; } = new(BmcError.None, "", Credential.None, null, 0);

    public static LoginResult Failed(BmcError error, string message, TimeSpan? retryAfter = null) => new(error, message, Credential.None, null, 0, retryAfter);
}
