namespace Evacuator.Redfish.Events;

/// <summary>How one BMC is listened to. The defaults cost an idle BMC one request in two minutes with a stream or a subscription.</summary>
public sealed record BmcListenerOptions
{
    /// <summary>@odata.id of the System whose logs are polled where nothing better is offered.</summary>
    public required string SystemUri { get; init; }

    /// <summary>
    /// Where the BMC can post events to: https, reachable from the BMC's network, and its last path segment a secret of this start. Null: no push.
    /// What arrives there goes to <see cref="BmcListener.AcceptPush"/>.
    /// </summary>
    public Uri? PushDestination { get; init; }

    /// <summary>Names us in the subscription; the same at every start, so that a crash's leftovers are recognised. Up to 256 characters.</summary>
    public string Context { get; init; } = "evacuator";

    /// <summary>Between two looks at the logs.</summary>
    public TimeSpan PollInterval { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Between two requests that tell a quiet stream or subscription from a dead one; not below a minute.</summary>
    public TimeSpan LivenessInterval { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>A stream is renewed after this: some BMCs stop sending without closing it.</summary>
    public TimeSpan MaxStreamAge { get; init; } = TimeSpan.FromMinutes(55);

    /// <summary>How long the lesser way is used before the better one is tried again.</summary>
    public TimeSpan RetryBetterAfter { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>How long a new subscription may take to bring the test event before it counts as unreachable.</summary>
    public TimeSpan PushProofWithin { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>bmcweb says 200 and closes at once when it has no place left: until this has passed, an open stream promises nothing.</summary>
    public TimeSpan StreamSettle { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>The first wait before something that failed is tried again; doubles up to <see cref="RetryLast"/>.</summary>
    public TimeSpan RetryFirst { get; init; } = TimeSpan.FromSeconds(5);

    public TimeSpan RetryLast { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Largest event of a stream, in bytes; telemetry beyond it is dropped unread.</summary>
    public int MaxStreamEventBytes { get; init; } = EventPayload.MaxBytes;
}
