namespace Evacuator.Redfish.Session;

/// <summary>Where a BMC is, how to log in to it, and how it is to be treated. Immutable; checked by <see cref="Problems"/>.</summary>
public sealed record BmcOptions
{
    /// <summary>Root of the service, such as <c>https://10.0.0.5</c>. A path is ignored: Redfish starts at <c>/redfish/v1/</c>.</summary>
    public required Uri Url { get; init; }

    /// <summary>Account of role Operator or better. Null: read without logging in (mock-up servers).</summary>
    public string? User { get; init; }

    /// <summary>Asked at each login, so a changed password file takes effect without a restart.</summary>
    public Func<CancellationToken, ValueTask<string>>? Password { get; init; }

    /// <summary>SHA-256 of the BMC's own (leaf) certificate: 64 hex digits, colons and case do not matter. Wins over <see cref="CaFile"/>.</summary>
    public string? Fingerprint { get; init; }

    /// <summary>PEM file with the CA certificates that sign BMC certificates here.</summary>
    public string? CaFile { get; init; }

    /// <summary>Id of the ComputerSystem behind this BMC, where there are several.</summary>
    public string? SystemId { get; init; }

    /// <summary>UUID that the ComputerSystem must have: the host's product_uuid.</summary>
    public string? SystemUuid { get; init; }

    /// <summary>Plain HTTP sends the password readable to everyone between. Loopback needs no permission.</summary>
    public bool AllowPlainHttp { get; init; }

    /// <summary>Requests under way at a time. BMCs are small computers: 1 or 2.</summary>
    public int MaxConcurrency { get; init; } = 1;

    /// <summary>
    /// Folder where the URI of the open session is kept (mode 0600), so that a session outliving a crash is deleted at the next start.
    /// Null: sessions are deleted on dispose only.
    /// </summary>
    public string? StateFolder { get; init; }

    public BmcTimeouts Timeouts { get; init; } = new();

    /// <summary>Largest body taken from the BMC, in bytes. The largest real ones (logs, registries) are a few MiB.</summary>
    public int MaxBodyBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>What is wrong with these options, all at once; empty when nothing is.</summary>
    public IReadOnlyList<string> Problems()
    {
        List<string> problems = [];
        if (!Url.IsAbsoluteUri || (Url.Scheme != Uri.UriSchemeHttps && Url.Scheme != Uri.UriSchemeHttp))
            problems.Add($"'{Url}' is not the URL of a BMC: give https://ADDRESS");
        else if (Url.UserInfo.Length > 0)
            problems.Add($"the URL of the BMC at {Url.Host} holds a user or password: give them as user and password instead");
        if (Fingerprint is not null && Session.Fingerprint.Normalise(Fingerprint) is null)
            problems.Add($"'{Fingerprint}' is not a SHA-256 fingerprint: 64 hex digits, colons allowed");
        if (User is not null && Password is null)
            problems.Add($"user {User} of {(Url.IsAbsoluteUri ? Url.Host : Url)} has no password");
        if (MaxConcurrency is < 1 or > 4)
            problems.Add($"{MaxConcurrency} requests at a time: must be 1 to 4");
        if (MaxBodyBytes is < 4096 or > 256 * 1024 * 1024)
            problems.Add($"body limit of {MaxBodyBytes} bytes: must be 4 KiB to 256 MiB");
        return problems;
    }
}

/// <summary>How long a BMC may take. The defaults follow what field tools had to allow: 3-6 s per read is usual on a busy one, 60 s happens.</summary>
public sealed record BmcTimeouts
{
    /// <summary>TCP and TLS together.</summary>
    public TimeSpan Connect { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>One request, from the first byte sent to the last byte of the body.</summary>
    public TimeSpan Request { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Headers of an event stream; short, because nothing else is asked meanwhile.</summary>
    public TimeSpan StreamHeaders { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>A read with all its retries and waits.</summary>
    public TimeSpan Read { get; init; } = TimeSpan.FromMinutes(3);

    /// <summary>The longest Retry-After that is waited for; a longer one ends the read as overloaded.</summary>
    public TimeSpan MaxRetryAfter { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Deleting the session at the end.</summary>
    public TimeSpan Logout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The first wait before a read is repeated; doubles, with jitter.</summary>
    public TimeSpan RetryBase { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How often a read is tried at most.</summary>
    public int ReadAttempts { get; init; } = 4;
}
