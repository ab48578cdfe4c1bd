namespace Evacuator.Redfish.Session;

/// <summary>Why a BMC did not do or tell what was asked. One cause per value, so that a caller can decide without reading texts.</summary>
public enum BmcError
{
    /// <summary>It did.</summary>
    None = 0,

    /// <summary>No connection, or the connection broke before an answer was complete.</summary>
    Unreachable = 1,

    /// <summary>The TLS handshake failed for another reason than the certificate.</summary>
    TlsFailed = 2,

    /// <summary>Neither a fingerprint nor a CA is configured, or the URL is plain HTTP: nothing was sent.</summary>
    NoTrust = 3,

    /// <summary>The presented certificate is not signed by the configured CA, or is for another name.</summary>
    CertificateUntrusted = 4,

    /// <summary>The presented certificate is not the pinned one.</summary>
    CertificateChanged = 5,

    /// <summary>User or password refused. Not tried again for a while, so that the account is not locked.</summary>
    CredentialsRefused = 6,

    /// <summary>The BMC has no free session.</summary>
    SessionTableFull = 7,

    /// <summary>The account may do nothing until its password has been changed.</summary>
    PasswordChangeRequired = 8,

    /// <summary>The account lacks the privilege (or the BMC the licence) for this.</summary>
    Forbidden = 9,

    NotFound = 10,

    /// <summary>The service does not implement this: 405, 501, or a missing action or property.</summary>
    NotSupported = 11,

    /// <summary>400 and other refusals of what was sent.</summary>
    Rejected = 12,

    /// <summary>409: not possible in the present state.</summary>
    Conflict = 13,

    /// <summary>412 or 428: the ETag was not accepted in any form.</summary>
    PreconditionFailed = 14,

    /// <summary>503 or 429, after the retries that are allowed.</summary>
    Overloaded = 15,

    /// <summary>Another 5xx.</summary>
    ServerFailed = 16,

    Timeout = 17,

    /// <summary>Not HTTP, not JSON, or cut off in the middle.</summary>
    Malformed = 18,

    /// <summary>Larger than the limit; nothing of it was used.</summary>
    TooLarge = 19,

    /// <summary>A redirect to another place; not followed, the token was not sent there.</summary>
    RedirectedElsewhere = 20,
}
