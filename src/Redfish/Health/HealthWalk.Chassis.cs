using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Health;

// Which chassis belong to the machine, and what is in each.
public sealed partial class HealthWalk
{
    // HPE's enclosures say ContainedBy while nothing says Contains, NVIDIA's baseboards are linked from nowhere but the collection: every relation is followed.
    private async Task<IReadOnlyList<RedfishResource>> ChassisOfAsync(RedfishResource? root, List<RedfishResource> systems, bool isOnlyMachine)
    {
        HashSet<string> ours = [.. systems.Select(system => RedfishUri.Key(system.Uri))];
        Dictionary<string, RedfishResource> taken = [];
        Queue<(string Uri, bool IsNamedByUs)> links = new(systems.SelectMany(system => system.Links("Links", "Chassis")).Concat(_enclosures).Select(uri => (uri, true)));
        List<RedfishResource> others = root is null ? [] : [.. await RootMembersAsync(HealthArea.System, root, "Chassis")];
        while (true)
        {
            while (links.TryDequeue(out (string Uri, bool IsNamedByUs) link))
                if (!taken.ContainsKey(RedfishUri.Key(link.Uri)) && await ReadAsync(HealthArea.System, link.Uri) is { } chassis && (link.IsNamedByUs || !IsForeign(chassis, ours)))
                    Take(chassis, taken, links, ours);
            RedfishResource? next = others.Find(other => !taken.ContainsKey(RedfishUri.Key(other.Uri)) && IsOurs(other, ours, taken, isOnlyMachine));
            if (next is null)
                return [.. taken.Values];
            Take(next, taken, links, ours);
        }
    }

    // A shared enclosure that does not name us is looked at because we name it; what else is in it is not ours.
    private static void Take(RedfishResource chassis, Dictionary<string, RedfishResource> taken, Queue<(string Uri, bool IsNamedByUs)> links, HashSet<string> ours)
    {
        taken[RedfishUri.Key(chassis.Uri)] = chassis;
        if (IsForeign(chassis, ours))
            return;
        foreach (string contained in chassis.Links("Links", "Contains"))
            links.Enqueue((contained, false));
    }

    private static bool IsOurs(RedfishResource chassis, HashSet<string> ours, Dictionary<string, RedfishResource> taken, bool isOnlyMachine)
    {
        if (IsForeign(chassis, ours))
            return false;
        if (chassis.Links("Links", "ComputerSystems").Count > 0)
            return true;
        return chassis.Link("Links", "ContainedBy") is { } parent ? taken.ContainsKey(RedfishUri.Key(parent)) || isOnlyMachine : isOnlyMachine;
    }

    private static bool IsForeign(RedfishResource chassis, HashSet<string> ours)
    {
        IReadOnlyList<string> owners = chassis.Links("Links", "ComputerSystems");
        return owners.Count > 0 && !owners.Any(owner => ours.Contains(RedfishUri.Key(owner)));
    }

    private async Task ChassisAsync(RedfishResource chassis)
    {
        Part part = _findings.Observe(HealthArea.System, ComponentKind.Chassis, chassis, out bool isNew, isRollup: true);
        if (!isNew)
            return;
        _findings.Rollup(null, chassis);
        Conditions(chassis, part);
        await PowerAsync(chassis);
        await CoolingAsync(chassis);
        if (_options.ReadSensors)
            foreach (RedfishResource sensor in await MembersAsync(HealthArea.Sensors, chassis, "Sensors"))
                Sensor(sensor);
        foreach (RedfishResource drive in await ListedTwiceAsync(HealthArea.Storage, chassis, "Drives"))
            Drive(drive);
        foreach (RedfishResource device in await ListedTwiceAsync(HealthArea.Pcie, chassis, "PCIeDevices"))
            Leaf(HealthArea.Pcie, ComponentKind.PcieDevice, device);
        foreach (RedfishResource adapter in await MembersAsync(HealthArea.Network, chassis, "NetworkAdapters"))
            Leaf(HealthArea.Network, ComponentKind.NetworkAdapter, adapter);
    }

    /// <summary>What older services list under Links and newer ones as a collection; some do both.</summary>
    private async Task<IEnumerable<RedfishResource>> ListedTwiceAsync(HealthArea area, RedfishResource owner, string name) =>
        (await MembersAsync(area, owner, name)).Concat(await MembersAsync(area, owner, "Links", name));

    private async Task PowerAsync(RedfishResource chassis)
    {
        if (await FollowAsync(HealthArea.Power, chassis, "PowerSubsystem") is { } subsystem)
        {
            _findings.Rollup(null, subsystem);
            foreach (RedfishResource supply in await MembersAsync(HealthArea.Power, subsystem, "PowerSupplies"))
                Supply(supply);
            foreach (RedfishResource group in subsystem.Items("PowerSupplyRedundancy"))
                Redundancy(HealthArea.Power, ComponentKind.PowerSupply, group);
            foreach (RedfishResource battery in await MembersAsync(HealthArea.Power, subsystem, "Batteries"))
                Leaf(HealthArea.Power, ComponentKind.Battery, battery);
        }
        if (await FollowAsync(HealthArea.Power, chassis, "Power") is { } power)
            LegacyPower(power);
        foreach (RedfishResource battery in chassis.Items("Oem", "Hpe", "SmartStorageBattery").Concat(chassis.Items("Oem", "Hp", "SmartStorageBattery")))
            Leaf(HealthArea.Power, ComponentKind.Battery, battery);
        foreach (string link in chassis.Links("Links", "PoweredBy").Where(link => _findings.At(link) is null))
            if (await ReadAsync(HealthArea.Power, link) is { } source)
            {
                if (source.TypeName is "Power")
                    LegacyPower(source);
                else if (source.TypeName is "PowerSupply")
                    Supply(source);
            }
    }

    private void LegacyPower(RedfishResource power)
    {
        foreach (RedfishResource supply in power.Items("PowerSupplies"))
            Supply(supply);
        foreach (RedfishResource voltage in power.Items("Voltages"))
            Reading(HealthArea.Power, ComponentKind.Power, voltage, voltage.Number("ReadingVolts"));
        foreach (RedfishResource control in power.Items("PowerControl"))
            Reading(HealthArea.Power, ComponentKind.Power, control, control.Number("PowerConsumedWatts"));
        foreach (RedfishResource group in power.Items("Redundancy"))
            Redundancy(HealthArea.Power, ComponentKind.PowerSupply, group);
    }

    private void Supply(RedfishResource supply)
    {
        Part part = _findings.Observe(HealthArea.Power, ComponentKind.PowerSupply, supply, out bool isNew);
        if (!isNew)
            return;
        Status(part, supply);
        // iDRAC says OutOfRange of a healthy supply on direct current; a loss is a loss.
        string input = supply.Text("LineInputStatus") ?? "";
        if (input.Equals("LossOfInput", StringComparison.OrdinalIgnoreCase) || input.Equals("OutOfRange", StringComparison.OrdinalIgnoreCase) && part.Health >= SignalSeverity.Warning)
            part.Raise(SignalKind.InputPowerLost, SignalSeverity.Warning, $"LineInputStatus is {input}");
    }

    private async Task CoolingAsync(RedfishResource chassis)
    {
        if (await FollowAsync(HealthArea.Cooling, chassis, "ThermalSubsystem") is { } subsystem)
        {
            _findings.Rollup(null, subsystem);
            foreach (RedfishResource fan in await MembersAsync(HealthArea.Cooling, subsystem, "Fans"))
                Leaf(HealthArea.Cooling, ComponentKind.Fan, fan);
            foreach (RedfishResource group in subsystem.Items("FanRedundancy"))
                Redundancy(HealthArea.Cooling, ComponentKind.Fan, group);
            foreach (RedfishResource pump in await MembersAsync(HealthArea.Cooling, subsystem, "Pumps"))
                Leaf(HealthArea.Cooling, ComponentKind.Coolant, pump);
            if (await FollowAsync(HealthArea.Cooling, subsystem, "LeakDetection") is { } leaks)
                await LeaksAsync(leaks);
        }
        if (await FollowAsync(HealthArea.Cooling, chassis, "Thermal") is { } thermal)
            LegacyThermal(thermal);
        foreach (string link in chassis.Links("Links", "CooledBy").Where(link => _findings.At(link) is null))
            if (await ReadAsync(HealthArea.Cooling, link) is { } source)
            {
                if (source.TypeName is "Thermal")
                    LegacyThermal(source);
                else if (source.TypeName is "Fan")
                    Leaf(HealthArea.Cooling, ComponentKind.Fan, source);
            }
    }

    private void LegacyThermal(RedfishResource thermal)
    {
        foreach (RedfishResource fan in thermal.Items("Fans"))
            Leaf(HealthArea.Cooling, ComponentKind.Fan, fan);
        foreach (RedfishResource temperature in thermal.Items("Temperatures"))
            Reading(HealthArea.Cooling, ComponentKind.Temperature, temperature, temperature.Number("ReadingCelsius"));
        foreach (RedfishResource group in thermal.Items("Redundancy"))
            Redundancy(HealthArea.Cooling, ComponentKind.Fan, group);
    }

    private async Task LeaksAsync(RedfishResource leaks)
    {
        _findings.Rollup(HealthArea.Cooling, leaks);
        foreach (RedfishResource detector in await MembersAsync(HealthArea.Cooling, leaks, "LeakDetectors"))
            LeakDetector(detector);
        foreach (RedfishResource group in leaks.Items("LeakDetectorGroups"))
            foreach (RedfishResource detector in group.Items("Detectors"))
                if ((detector.Link("DataSourceUri") ?? detector.Link("@odata.id")) is not { } source)
                    LeakDetector(detector);
                else if (await ReadAsync(HealthArea.Cooling, source) is { } found)
                    LeakDetector(found);
    }

    private void LeakDetector(RedfishResource detector)
    {
        Part part = _findings.Observe(HealthArea.Cooling, ComponentKind.Coolant, detector, out bool isNew);
        if (!isNew)
            return;
        Status(part, detector);
        if (SignalSeverities.Parse(detector.Text("DetectorState")) is var severity and >= SignalSeverity.Warning)
            part.Raise(SignalKind.LeakDetected, severity, $"DetectorState is {severity}", isExplicit: true);
    }

    private void Redundancy(HealthArea area, ComponentKind kind, RedfishResource group)
    {
        if (!CollectionReader.IsExpanded(group))
            return;
        Part part = _findings.Observe(area, kind, group, out bool isNew, isGroup: true);
        if (isNew && part.Health >= SignalSeverity.Warning)
            part.Raise(SignalKind.RedundancyLost, part.Health, $"the redundancy group reports {part.Health}");
    }

    private void Sensor(RedfishResource sensor)
    {
        ComponentKind kind = sensor.Text("ReadingType")?.ToLowerInvariant() switch
        {
            "temperature" => ComponentKind.Temperature,
            "rotational" => ComponentKind.Fan,
            "voltage" or "current" or "power" or "energykwh" or "energyjoules" => ComponentKind.Power,
            null => sensor.Text("ReadingUnits")?.ToLowerInvariant() switch
            {
                "cel" => ComponentKind.Temperature,
                "rpm" or "[rpm]" or "{rev}/min" => ComponentKind.Fan,
                "v" or "a" or "w" or "kw.h" or "j" => ComponentKind.Power,
                _ => ComponentKind.Sensor,
            },
            _ => ComponentKind.Sensor,
        };
        Reading(HealthArea.Sensors, kind, sensor, sensor.Number("Reading"));
    }

    private void Reading(HealthArea area, ComponentKind kind, RedfishResource sensor, double? reading)
    {
        Part part = _findings.Observe(area, kind, sensor, out bool isNew);
        if (!isNew)
            return;
        if (part.Health >= SignalSeverity.Warning && !IsPlausible(kind, reading))
        {
            if (part.Presence == Presence.Present)
                _findings.Warn($"{sensor.Uri}: {part.Name} reports {part.Health} with a reading of {reading?.ToString() ?? "nothing"}: not counted");
            // Garbage is the sensor's own fault. Without any reading nobody knows whether it is too hot.
            if (part is { Presence: Presence.Present, Health: SignalSeverity.Critical } && reading is null)
                _findings.Doubt(area, $"{sensor.Uri}: {part.Name} reports Critical and shows no reading");
            return;
        }
        if (part.Health >= SignalSeverity.Warning)
        {
            string text = reading is null ? $"Health is {part.Health}" : $"Health is {part.Health} at {reading:0.##}";
            part.Raise(KindOfReading(kind, sensor, reading, part.Health), part.Health, text);
        }
        Conditions(sensor, part);
    }

    // NVIDIA sent a temperature of -524288.199 as a warning. Without any reading the sensor is what failed.
    private static bool IsPlausible(ComponentKind kind, double? reading) => kind switch
    {
        ComponentKind.Temperature => reading is > -60 and < 200,
        ComponentKind.Power => reading is null or (> -10_000 and < 100_000),
        ComponentKind.Fan => reading is null or (>= 0 and < 100_000),
        _ => reading is null or (> -100_000 and < 100_000),
    };

    private static SignalKind KindOfReading(ComponentKind kind, RedfishResource sensor, double? reading, SignalSeverity health)
    {
        if (kind == ComponentKind.Fan)
            return health == SignalSeverity.Critical ? SignalKind.Failed : SignalKind.Degraded;
        if (kind != ComponentKind.Temperature)
            return SignalKind.OutOfRange;
        double? low = sensor.Number("LowerThresholdNonCritical") ?? sensor.Number("LowerThresholdCritical")
            ?? sensor.Number("Thresholds", "LowerCaution", "Reading") ?? sensor.Number("Thresholds", "LowerCritical", "Reading");
        return reading <= low && reading < 15 ? SignalKind.UnderTemperature : SignalKind.OverTemperature;
    }
}
