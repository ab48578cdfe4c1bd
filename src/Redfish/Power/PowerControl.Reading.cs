using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Power;

public sealed partial class PowerControl
{
    private const int EvidenceKept = 32;

    /// <summary>Reads the power once: the System and each Chassis that is its alone. They must agree; what cannot be read makes it unknown.</summary>
    public async Task<PowerReading> ReadPowerAsync(CancellationToken cancel)
    {
        List<PowerEvidence> evidence = [];
        ReadResult read = await _machine.ReadSystemAsync(cancel).ConfigureAwait(false);
        if (read.Resource is not { } system)
            return Unknown(evidence, _machine.SystemUri, null, read.Message);
        string? told = system.Text("PowerState");
        if (Mismatch(_machine, system, _uuid) is { } mismatch)
            return Unknown(evidence, _machine.SystemUri, told, mismatch);
        PowerState state = Parse(told);
        if (state == PowerState.Unknown)
            return Unknown(evidence, _machine.SystemUri, told, told is null ? "no PowerState: the BMC does not know it (yet)" : $"PowerState '{told}' means nothing known");
        evidence.Add(new PowerEvidence(_time.GetUtcNow(), _machine.SystemUri, told, null));

        foreach (string uri in MachineView.ChassisOf(system))
        {
            ReadResult readChassis = await _machine.ReadAsync(uri, cancel).ConfigureAwait(false);
            if (readChassis.Outcome == ReadOutcome.NotFound)
                continue;
            if (readChassis.Resource is not { } chassis)
                return Unknown(evidence, uri, null, readChassis.Message);
            string? chassisTold = chassis.Text("PowerState");
            if (chassisTold is null || !_machine.IsOwn(chassis))
            {
                evidence.Add(new PowerEvidence(_time.GetUtcNow(), uri, chassisTold, chassisTold is null ? "has no power state" : "is shared, so it does not count"));
                continue;
            }
            if (Parse(chassisTold) != state)
                return Unknown(evidence, uri, chassisTold, $"the System says {told}, the Chassis {uri} says {chassisTold}");
            evidence.Add(new PowerEvidence(_time.GetUtcNow(), uri, chassisTold, null));
        }
        if (state == PowerState.Off && _onSent is { } sent && _time.GetElapsedTime(sent) < StaleAfterOn)
            return new PowerReading(PowerState.Unknown, evidence, $"Off, but it was switched on {_time.GetElapsedTime(sent).TotalSeconds:0} s ago: the BMC may tell what was before");
        return new PowerReading(state, evidence, "");
    }

    /// <summary>
    /// Waits until the machine is off, and believes it only after <paramref name="reads"/> consecutive reads in which System and Chassis say Off.
    /// Any other answer, or none, starts the count anew.
    /// </summary>
    /// <param name="reads">2 or more.</param>
    /// <param name="interval">Between reads; a BMC refreshes its value every few seconds at best.</param>
    /// <param name="timeout">After this long without proof the verdict is "not off".</param>
    /// <param name="cancel">The caller's wish to stop.</param>
    public async Task<OffVerdict> VerifyOffAsync(int reads, TimeSpan interval, TimeSpan timeout, CancellationToken cancel)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(reads, 2);
        long start = _time.GetTimestamp();
        List<PowerEvidence> proof = [];
        Queue<PowerEvidence> seen = new();
        int agreeing = 0;
        while (true)
        {
            PowerReading reading = await ReadPowerAsync(cancel).ConfigureAwait(false);
            foreach (PowerEvidence each in reading.Evidence)
            {
                seen.Enqueue(each);
                if (seen.Count > EvidenceKept)
                    seen.Dequeue();
            }
            if (reading.State == PowerState.Off)
            {
                agreeing++;
                proof.AddRange(reading.Evidence);
                if (agreeing >= reads)
                    return new OffVerdict(true, PowerState.Off, proof, $"Off in {agreeing} reads from {proof[0].Time:HH:mm:ss} to {proof[^1].Time:HH:mm:ss} UTC");
            }
            else
            {
                agreeing = 0;
                proof.Clear();
            }
            if (_time.GetElapsedTime(start) + interval > timeout)
            {
                string last = reading.State == PowerState.Unknown ? $"unknown ({reading.Message})" : reading.State.ToString();
                string problem = reading.State == PowerState.Off ? $"only {agreeing} of {reads} reads said Off" : $"the last read said {last}";
                return new OffVerdict(false, reading.State, [.. seen], $"not proven off within {timeout.TotalSeconds:0} s: {problem}");
            }
            await Task.Delay(interval, _time, cancel).ConfigureAwait(false);
        }
    }

    private PowerReading Unknown(List<PowerEvidence> evidence, string uri, string? value, string problem)
    {
        evidence.Add(new PowerEvidence(_time.GetUtcNow(), uri, value, problem));
        return new PowerReading(PowerState.Unknown, evidence, problem);
    }

    // Paused is a powered machine that stands still. Whatever else a BMC may invent is unknown.
    private static PowerState Parse(string? told) => told?.ToLowerInvariant() switch
    {
        "on" or "paused" => PowerState.On,
        "off" => PowerState.Off,
        "poweringon" => PowerState.PoweringOn,
        "poweringoff" => PowerState.PoweringOff,
        _ => PowerState.Unknown,
    };
}
