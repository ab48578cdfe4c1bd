using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Session;

/// <summary>What came of something asked of a BMC: the answer, or the cause why there is none. BMC calls return this and throw only when cancelled.</summary>
public sealed record BmcReply
{
    public required BmcError Error { get; init; }

    /// <summary>What is wrong, where, and what to do; empty on success.</summary>
    public string Message { get; init; } = "";

    /// <summary>HTTP status; 0 when no answer arrived.</summary>
    public int Status { get; init; }

    /// <summary>The JSON object in the answer's body; null when there is none (204, empty body).</summary>
    public RedfishResource? Resource { get; init; }

    /// <summary>URI of what was created (201) or of the task (202), as sent.</summary>
    public string? Location { get; init; }

    public string? ETag { get; init; }

    /// <summary>How long the BMC asks to wait, where it said so.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>Last parts of the message ids in the answer, such as PropertyUnknown.</summary>
    public IReadOnlyList<string> MessageKeys { get; init; } = [];

    /// <summary>Properties and values that a refusal names.</summary>
    public IReadOnlyList<string> Named { get; init; } = [];

    /// <summary>With <see cref="BmcError.CertificateChanged"/>: what is pinned and what was presented.</summary>
    public (string Pinned, string Presented)? Certificates { get; init; }

    public bool Succeeded => Error == BmcError.None;

    public bool HasMessage(string key) => MessageKeys.Contains(key, StringComparer.OrdinalIgnoreCase);
}
