using Evacuator.Redfish.Health;

namespace Evacuator.Tests.Health;

/// <summary>Signals for tests.</summary>
internal static class Signals
{
    public static readonly DateTimeOffset Start = new(2026, 3, 1, 3, 0, 0, TimeSpan.Zero);

    public static Signal Make(ComponentKind component, SignalKind kind, SignalSeverity severity = SignalSeverity.Warning, bool predicted = false, string name = "1",
        string? messageId = null, string? state = "Enabled", string? uri = null) =>
        new(component, name, new ComponentLocation($"slot {name}", null, $"SN{name}", null, null), kind, severity, predicted, state,
            uri ?? $"/redfish/v1/{component}/{name}", messageId, "as read", Start, Start);

    public static Signal Dimm(string name = "A1") => Make(ComponentKind.Memory, SignalKind.CorrectableErrorThreshold, predicted: true, name: name);

    public static ComponentReading Part(ComponentKind kind, string name, SignalSeverity health = SignalSeverity.Ok, bool counts = true) =>
        new(kind, name, ComponentLocation.Nowhere, $"/redfish/v1/{kind}/{name}", "Enabled", health, counts);
}
