namespace Evacuator.Redfish.Events;

/// <summary>How grave an event says it is. A hint for ordering only: the resource it is about decides.</summary>
public enum EventSeverity
{
    Unknown = 0,
    Ok = 1,
    Warning = 2,
    Critical = 3,
}
