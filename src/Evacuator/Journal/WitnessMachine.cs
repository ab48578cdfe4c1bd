using static Evacuator.Journal.WitnessInput;

namespace Evacuator.Journal;

/// <summary>What can happen to a watch over another node's BMC.</summary>
internal abstract record WitnessInput
{
    /// <summary>The BMC was read, or could not be.</summary>
    internal sealed record Read(string PowerState, string Detail) : WitnessInput;

    /// <summary>Two reads agreed on Off.</summary>
    /// <param name="Certificate">the same, signed; null if it could not be</param>
    internal sealed record SeenOff(string Detail, Power.WitnessCertificate? Certificate = null) : WitnessInput;

    /// <summary>It is time to force it off and the command is about to be sent.</summary>
    internal sealed record Forcing : WitnessInput;

    /// <summary>The time is over.</summary>
    internal sealed record Expired : WitnessInput;

    /// <summary>The node stays on after all.</summary>
    internal sealed record Withdraw : WitnessInput;

    /// <summary>It cannot be watched any more.</summary>
    internal sealed record Lost(string Detail) : WitnessInput;

    /// <summary>The LED was switched, or could not be.</summary>
    internal sealed record Led(string Outcome) : WitnessInput;
}

/// <summary>Watching → VerifiedOff | NotOff | CannotTell | Withdrawn. Unknown is never taken for Off.</summary>
internal static class WitnessMachine
{
    /// <summary>A pure function: no clock, no I/O. <paramref name="now"/> only dates the result.</summary>
    public static StepResult<WitnessState> Step(WitnessState state, WitnessInput input, DateTimeOffset now)
    {
        bool watching = state.Phase == WitnessPhase.Watching;
        WitnessState? next = input switch
        {
            Read read when watching => state with { LastPowerState = read.PowerState, LastRead = now, Detail = read.Detail },
            SeenOff off when watching => state with { Phase = WitnessPhase.VerifiedOff, LastPowerState = "Off", LastRead = now, Detail = off.Detail, Certificate = off.Certificate },
            Forcing when watching && state is { ForceFrom: not null, Forced: null } => state with { Forced = now },
            Expired when watching => state.LastPowerState is null or "Unknown"
                ? state with { Phase = WitnessPhase.CannotTell, Detail = $"the BMC at {state.BmcUrl} could not be read until {state.Until:u}: {state.Detail}. Look at the machine" }
                : state with { Phase = WitnessPhase.NotOff, Detail = $"still {state.LastPowerState} at {now:u}. Look at the machine" },
            Lost lost when watching => state with { Phase = WitnessPhase.CannotTell, Detail = lost.Detail },
            Withdraw when watching => state with { Phase = WitnessPhase.Withdrawn, Detail = "the node stays on" },
            Withdraw when state.Phase == WitnessPhase.Withdrawn => state,
            Led led when state.Phase is WitnessPhase.Watching or WitnessPhase.VerifiedOff => state with { Led = led.Outcome },
            _ => null,
        };
        if (next is null)
            return StepResult<WitnessState>.Refuse(state.Phase, input);
        return StepResult<WitnessState>.To(next.Phase.IsEnd() && watching ? next with { Ended = now } : next);
    }
}
