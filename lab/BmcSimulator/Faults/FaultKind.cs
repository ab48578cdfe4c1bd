using System.Text.Json.Serialization;

namespace Evacuator.Lab.BmcSimulator.Faults;

/// <summary>What can go wrong with a BMC. In JSON the names are written in kebab case: <c>session-dropped</c>.</summary>
public enum FaultKind
{
    None,

    /// <summary>The request's session is forgotten, and the request answered 401.</summary>
    SessionDropped,

    /// <summary>A login is refused with 503: too many sessions.</summary>
    SessionTableFull,

    /// <summary>503, with Retry-After where <see cref="Fault.RetryAfter"/> is given.</summary>
    Unavailable,

    /// <summary>The answer comes <see cref="Fault.Stall"/> seconds late.</summary>
    Stall,

    /// <summary>The connection is closed without an answer.</summary>
    Disconnect,

    /// <summary>Content-Length promises all, half of it comes, then the connection breaks.</summary>
    HalfBody,

    /// <summary>The body is followed by <see cref="Fault.Size"/> bytes of white space.</summary>
    HugeBody,

    /// <summary>302 to <see cref="Fault.Location"/>, by default the same path on another host.</summary>
    Redirect,

    /// <summary>A collection whose nextLink leads to itself.</summary>
    NextLinkLoop,

    /// <summary>Members that a collection lists answer 404; not systems, chassis and managers unless <see cref="Fault.Uri"/> names them.</summary>
    MissingMembers,

    /// <summary>Strings for numbers, numbers for strings, a list for a word, a word for Status; links stay.</summary>
    WrongTypes,

    /// <summary>Every simple property three times: twice as it is, once with a small first letter.</summary>
    DuplicateKeys,

    /// <summary>Every time in answers, events and the Date header is in the year <see cref="Fault.Year"/>.</summary>
    Clock,

    /// <summary>The event stream answers 200 and ends.</summary>
    SseEnds,

    /// <summary>Subscriptions stay, but no event is pushed.</summary>
    PushSilent,

    /// <summary>At once: every push subscription is gone, without a word.</summary>
    SubscriptionsVanish,

    /// <summary>A PATCH is answered 412, whatever its If-Match.</summary>
    [JsonStringEnumMemberName("etag-mismatch")]
    ETagMismatch,

    /// <summary>A PATCH without If-Match is answered 428.</summary>
    [JsonStringEnumMemberName("etag-required")]
    ETagRequired,

    /// <summary>Answers carry the weak form of the entity tag (<c>W/"x"</c>), and a PATCH takes only the strong one.</summary>
    [JsonStringEnumMemberName("etag-weak")]
    ETagWeak,

    /// <summary>PowerState keeps the value it had when the fault began.</summary>
    PowerStale,

    /// <summary>A reset is accepted and nothing happens.</summary>
    ResetIgnored,

    /// <summary>At once: another certificate, and all connections are closed.</summary>
    CertificateChanged,

    /// <summary>At once: the BMC's own software starts again. Sessions and connections are gone and event ids start at 1; the machine notices nothing.</summary>
    Restart,
}
