using System.Text.Json.Serialization;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;

namespace Evacuator.Journal;

/// <summary>Where the watch over another node's power-off stands. Numbers are in the journal and are never reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<WitnessPhase>))]
internal enum WitnessPhase
{
    None = 0,

    /// <summary>Its BMC is read until it says Off twice.</summary>
    Watching = 1,

    /// <summary>End: Off in two agreeing reads.</summary>
    VerifiedOff = 2,

    /// <summary>End: not seen off in time. A person has to look.</summary>
    NotOff = 3,

    /// <summary>End: the node called it off itself, because it stays on.</summary>
    Withdrawn = 4,

    /// <summary>End: the BMC could not be read, so nothing can be said. A person has to look.</summary>
    CannotTell = 5,
}

/// <summary>A watch over another node's BMC, as this node's journal keeps it. The BMC's password is not in it.</summary>
internal sealed record WitnessState
{
    /// <summary>Id of the evacuation, given by the node that is being emptied; unique together with <see cref="Node"/>.</summary>
    public required Guid EvacuationId { get; init; }

    /// <summary>The node that is going down, by its certificate.</summary>
    public required string Node { get; init; }

    public required WitnessPhase Phase { get; init; }

    public required string BmcUrl { get; init; }

    public required DateTimeOffset Started { get; init; }

    /// <summary>When waiting ends and a person is asked.</summary>
    public required DateTimeOffset Until { get; init; }

    /// <summary>From when on the power may be forced off; null: never.</summary>
    public DateTimeOffset? ForceFrom { get; init; }

    /// <summary>When it was forced; written before the command is sent.</summary>
    public DateTimeOffset? Forced { get; init; }

    /// <summary>The last power state read, and when.</summary>
    public string? LastPowerState { get; init; }

    public DateTimeOffset? LastRead { get; init; }

    public DateTimeOffset? Ended { get; init; }

    /// <summary>What is seen or went wrong, in words.</summary>
    public string Detail { get; init; } = "";

    public string? Led { get; init; }

    /// <summary>That it was seen off, signed by this node; null before that.</summary>
    public Power.WitnessCertificate? Certificate { get; init; }

    /// <summary>The node's own report as of its shutdown: it cannot be asked while it is off.</summary>
    public required EvacuationReport Report { get; init; }
}

internal static class WitnessPhases
{
    public static bool IsEnd(this WitnessPhase phase) => phase is not (WitnessPhase.None or WitnessPhase.Watching);
}
