namespace Evacuator.Redfish.Session;

/// <summary>One HTTP request to a BMC. <c>Target</c> is the URI as the BMC gave it; only its path and query are used.</summary>
internal sealed record BmcRequest(HttpMethod Method, string Target)
{
    /// <summary>JSON, UTF-8; null for no body.</summary>
    public byte[]? Body { get; init; }

    public string? IfMatch { get; init; }

    public Credential Credential { get; init; } = Credential.None;

    public string Accept { get; init; } = "application/json";

    /// <summary>Ask for a connection of its own: after a connection broke, and for streams.</summary>
    public bool FreshConnection { get; init; }

    /// <summary>HPE answers 406 to identity for what it stores compressed (registries).</summary>
    public bool AnyEncoding { get; init; }
}

/// <summary>What proves to the BMC who asks: a session token, or user and password (Basic), or nothing.</summary>
internal sealed record Credential(string? Token, string? Basic)
{
    public static Credential None { get; } = new(null, null);

    public bool IsNone => Token is null && Basic is null;

    /// <summary>Never the secret.</summary>
    public override string ToString() => Token is not null ? "token" : Basic is not null ? "basic" : "none";
}

/// <summary>
/// What one HTTP request came to. Status and headers are kept also when the body failed: a login is a login once its token has arrived.
/// </summary>
internal sealed record BmcExchange
{
    public required BmcError Error { get; init; }

    /// <summary>What is wrong, naming the URL and what to do; empty on success.</summary>
    public string Message { get; init; } = "";

    /// <summary>HTTP status; 0 when none arrived.</summary>
    public int Status { get; init; }

    public byte[] Body { get; init; } = [];

    public string? Token { get; init; }

    public string? Location { get; init; }

    public string? ETag { get; init; }

    public TimeSpan? RetryAfter { get; init; }

    /// <summary>Key (last part) of the first message id in the error body, such as PasswordChangeRequired.</summary>
    public string? MessageKey { get; init; }

    /// <summary>All message keys, texts and arguments of the error body, for looking up property names in refusals.</summary>
    public ErrorBody? Details { get; init; }

    public bool Succeeded => Error == BmcError.None;

    public bool IsSuccessStatus => Status is >= 200 and < 300;
}
