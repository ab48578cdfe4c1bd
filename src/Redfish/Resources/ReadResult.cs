namespace Evacuator.Redfish.Resources;

/// <summary>How a read ended.</summary>
public enum ReadOutcome
{
    /// <summary>2xx with a JSON object.</summary>
    Found,

    /// <summary>404, 405, 410 or 501: there is no such resource for us to read.</summary>
    NotFound,

    /// <summary>403, or 400 with a licence message: it may be there, and we may not see it.</summary>
    Forbidden,

    /// <summary>401, also after one new login.</summary>
    Unauthorized,

    /// <summary>5xx after the retries, or no connection.</summary>
    Unavailable,

    /// <summary>No complete answer in time.</summary>
    Timeout,

    /// <summary>2xx, but no JSON object.</summary>
    Malformed,

    /// <summary>A body beyond the bound.</summary>
    TooLarge,

    /// <summary>Not asked: the URI leads elsewhere (another host, no Redfish path), the certificate is not the pinned one, or a bound was reached.</summary>
    Refused,
}

/// <summary>What a read brought.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="Resource">The resource; present exactly when <paramref name="Outcome"/> is <see cref="ReadOutcome.Found"/>.</param>
/// <param name="Message">What went wrong, with status and message id where known; empty when found.</param>
public sealed record ReadResult(ReadOutcome Outcome, RedfishResource? Resource, string Message)
{
    public bool IsFound => Resource is not null;

    public static ReadResult Found(RedfishResource resource) => new(ReadOutcome.Found, resource, "");

    public static ReadResult Failed(ReadOutcome outcome, string message) => new(outcome, null, message);
}
