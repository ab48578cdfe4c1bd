using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Health;

// Storage: controllers, drives, volumes.
public sealed partial class HealthWalk
{
    private static readonly (string Name, SignalKind Kind)[] NvmeWarnings =
    [
        ("MediaInReadOnly", SignalKind.Failed),
        ("OverallSubsystemDegraded", SignalKind.Degraded),
        ("PowerBackupFailed", SignalKind.Degraded),
        ("SpareCapacityWornOut", SignalKind.MediaWear),
    ];

    private readonly HashSet<string> _enclosures = [];

    private async Task StorageAsync(RedfishResource system)
    {
        foreach (RedfishResource storage in await MembersAsync(HealthArea.Storage, system, "Storage"))
        {
            _findings.Rollup(HealthArea.Storage, storage);
            foreach (RedfishResource controller in storage.Items("StorageControllers"))
                Controller(controller);
            foreach (RedfishResource controller in await MembersAsync(HealthArea.Storage, storage, "Controllers"))
                Controller(controller);
            foreach (RedfishResource drive in await MembersAsync(HealthArea.Storage, storage, "Drives"))
                Drive(drive);
            foreach (RedfishResource volume in await MembersAsync(HealthArea.Storage, storage, "Volumes"))
                Leaf(HealthArea.Storage, ComponentKind.Volume, volume);
            _enclosures.UnionWith(storage.Links("Links", "Enclosures"));
        }
        foreach (RedfishResource storage in await MembersAsync(HealthArea.Storage, system, "SimpleStorage"))
        {
            _findings.Rollup(HealthArea.Storage, storage);
            foreach (RedfishResource device in storage.Items("Devices"))
                Leaf(HealthArea.Storage, ComponentKind.Drive, device);
        }
        await SmartStorageAsync(system);
    }

    private void Controller(RedfishResource controller)
    {
        Part part = _findings.Observe(HealthArea.Storage, ComponentKind.StorageController, controller, out bool isNew);
        if (!isNew)
            return;
        Status(part, controller);
        foreach ((string name, SignalKind kind) in NvmeWarnings)
            if (controller.Flag("NVMeControllerProperties", "NVMeSMARTCriticalWarnings", name) == true)
                part.Raise(kind, SignalSeverity.Critical, $"NVMe critical warning {name}", kind == SignalKind.MediaWear, isExplicit: true);
        if (controller.Child("CacheSummary") is { } cache && SignalSeverities.Parse(cache.Text("Status", "Health")) is var health and >= SignalSeverity.Warning
            && Presences.Of(cache, null) == Presence.Present)
            part.Raise(SignalKind.Degraded, health, $"its cache reports {health}");
    }

    private void Drive(RedfishResource drive)
    {
        Part part = _findings.Observe(HealthArea.Storage, ComponentKind.Drive, drive, out bool isNew);
        if (!isNew)
            return;
        _enclosures.UnionWith(drive.Links("Links", "Chassis"));
        // An empty bay can claim anything: Enabled, Critical and a predicted failure were all seen.
        if (part.Location is { SerialNumber: null, Model: null } && drive.Number("CapacityBytes") is not > 0)
        {
            if (part is { Presence: Presence.Present, Health: >= SignalSeverity.Warning } || drive.Flag("FailurePredicted") == true)
                _findings.Warn($"{drive.Uri}: {part.Name} has neither model nor serial number nor capacity, as an empty bay: what it says against itself is not counted");
            part.Presence = Presence.NotCounted;
        }
        Status(part, drive);
        SignalSeverity severity = part.Health == SignalSeverity.Critical ? SignalSeverity.Critical : SignalSeverity.Warning;
        if (drive.Flag("FailurePredicted") == true)
            part.Raise(SignalKind.PredictedFailure, severity, "FailurePredicted", predicted: true, isExplicit: true);
        switch (drive.Text("StatusIndicator")?.ToLowerInvariant())
        {
            case "predictivefailureanalysis":
                part.Raise(SignalKind.PredictedFailure, severity, "StatusIndicator is PredictiveFailureAnalysis", predicted: true, isExplicit: true);
                break;
            case "fail":
                part.Raise(SignalKind.Failed, SignalSeverity.Critical, "StatusIndicator is Fail", isExplicit: true);
                break;
        }
        DellDrive(part, drive, severity);
        // HPE's own drive resource of iLO 4 and 5.
        if (drive.Texts("DiskDriveStatusReasons").Any(reason => reason.Contains("Predict", StringComparison.OrdinalIgnoreCase)))
            part.Raise(SignalKind.PredictedFailure, severity, "DiskDriveStatusReasons predict failure", predicted: true, isExplicit: true);
        if (IsFlash(drive))
        {
            Wear(part, "PredictedMediaLifeLeftPercent", drive.Number("PredictedMediaLifeLeftPercent"), drive.Uri);
            if (drive.Number("Oem", "Supermicro", "PercentageDriveLifeUsed") is { } used and > 0 and <= 100)
                Wear(part, "100 - PercentageDriveLifeUsed", 100 - used, drive.Uri);
            if (drive.Number("SSDEnduranceUtilizationPercentage") is { } worn and > 0 and <= 100)
                Wear(part, "100 - SSDEnduranceUtilizationPercentage", 100 - worn, drive.Uri);
        }
    }

    // Said, never guessed: a spinning disk reports 0 % left.
    private static bool IsFlash(RedfishResource drive) =>
        drive.Text("MediaType")?.ToUpperInvariant() is "SSD" or "SMR_SSD" or "NVME" or "FLASH"
        || drive.Text("Protocol")?.StartsWith("NVMe", StringComparison.OrdinalIgnoreCase) == true;

    private void DellDrive(Part part, RedfishResource drive, SignalSeverity severity)
    {
        foreach (string name in (string[])["DellPhysicalDisk", "DellPCIeSSD", "DellNVMe"])
        {
            if (drive.Child("Oem", "Dell", name) is not { } dell)
                continue;
            if (dell.Text("PredictiveFailureState")?.Equals("SmartAlertPresent", StringComparison.OrdinalIgnoreCase) == true || dell.Flag("FailurePredicted") == true)
                part.Raise(SignalKind.PredictedFailure, severity, $"{name} predicts failure", predicted: true, isExplicit: true);
            if (IsFlash(drive))
                Wear(part, "RemainingRatedWriteEndurance", dell.Number("RemainingRatedWriteEndurance"), drive.Uri);
        }
    }
}
