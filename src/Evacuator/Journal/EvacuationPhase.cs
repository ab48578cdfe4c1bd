using System.Text.Json.Serialization;
using Evacuator.Common.AgentApi;

namespace Evacuator.Journal;

/// <summary>Where an evacuation stands: each value names what is being done now. Numbers are in the journal and are never reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<EvacuationPhase>))]
internal enum EvacuationPhase
{
    None = 0,

    /// <summary>Journaled; the agent is being told to take no inbound container.</summary>
    Closing = 1,

    /// <summary>The node takes nothing more; peers are asked and a plan is made.</summary>
    Planning = 2,

    /// <summary>Containers are on their way.</summary>
    Moving = 3,

    /// <summary>Nothing moves any more; the kernel is asked whether anything is left.</summary>
    Proving = 4,

    /// <summary>Proven empty; a peer is asked to watch this host's BMC.</summary>
    ArrangingPowerOff = 5,

    /// <summary>The witness watches; the host has been or is being told to go down.</summary>
    PoweringOff = 6,

    /// <summary>End: all that was asked for has been done and proven.</summary>
    Done = 7,

    /// <summary>End: something is left or could not be proven; the reasons are in the report, the host is on.</summary>
    Failed = 8,

    /// <summary>No new move starts; what can be undone is being undone.</summary>
    Cancelling = 9,

    /// <summary>End: stopped by a person before it was done.</summary>
    Cancelled = 10,
}

/// <summary>What made the node want to be empty. Numbers are never reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<TriggerKind>))]
internal enum TriggerKind
{
    None = 0,
    Operator = 1,
    Signal = 2,

    /// <summary>A maintenance window has opened.</summary>
    Window = 3,

    /// <summary>The host is being shut down or rebooted.</summary>
    Shutdown = 4,
}

internal static class EvacuationPhases
{
    public static bool IsEnd(this EvacuationPhase phase) =>
        phase is EvacuationPhase.Done or EvacuationPhase.Failed or EvacuationPhase.Cancelled;
}
