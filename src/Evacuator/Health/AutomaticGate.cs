using Evacuator.Common.Configuration;

namespace Evacuator.Health;

/// <summary>What decides, besides the verdict, whether this node empties itself.</summary>
/// <param name="Setting">[evacuation] on-critical-signal</param>
/// <param name="Evacuating">an evacuation is under way already</param>
/// <param name="EmptyAndClosed">the node has been emptied: there is nothing to save, and above all it is not powered off again after the repair because its controller remembers</param>
/// <param name="LastEnded">when the last automatic evacuation ended; null if there was none</param>
/// <param name="Reopened">when the node was opened again last by a person or after the soak time; null if it never was. An evacuation that is cancelled opens it, too, and is no service</param>
internal sealed record GateFacts(SignalAction Setting, bool Evacuating, bool EmptyAndClosed, DateTimeOffset? LastEnded, DateTimeOffset? Reopened, TimeSpan CoolDown, DateTimeOffset Now);

internal enum GateOutcome
{
    /// <summary>Nothing has to be done that is not being done.</summary>
    Nothing = 0,

    /// <summary>It may, as far as this node is concerned; the fleet is to be asked.</summary>
    Act = 1,

    /// <summary>It should be emptied, and a person has to say so.</summary>
    AskPerson = 2,
}

/// <param name="Why">for people</param>
/// <param name="Power">whether the host goes off afterwards</param>
internal sealed record GateAnswer(GateOutcome Outcome, string Why, bool Power);

/// <summary>Whether a node whose signals say "empty it" does so by itself. Pure.</summary>
internal static class AutomaticGate
{
    public static GateAnswer Decide(Verdict verdict, GateFacts facts)
    {
        bool power = facts.Setting == SignalAction.EvacuateAndPowerOff || verdict == Verdict.EvacuateAndPowerOff;
        if (verdict < Verdict.Evacuate)
            return new GateAnswer(GateOutcome.Nothing, "nothing would move", false);
        if (facts.Evacuating)
            return new GateAnswer(GateOutcome.Nothing, "it is being emptied", false);
        if (facts.EmptyAndClosed)
            return new GateAnswer(GateOutcome.Nothing, "it is empty and closed", false);
        if (facts.Setting is SignalAction.Ignore or SignalAction.Notify)
            return new GateAnswer(GateOutcome.AskPerson, $"[evacuation] on-critical-signal is {Evacuation.Words.Of(facts.Setting)}", power);
        DateTimeOffset? begin = Latest(facts.LastEnded, facts.Reopened);
        // An operator who set the clock back must not lengthen the wait beyond its own length.
        if (begin is { } since && facts.Now < since + facts.CoolDown && since <= facts.Now)
            return new GateAnswer(GateOutcome.AskPerson, $"cool-down until {since + facts.CoolDown:u}: {(since == facts.Reopened ? "it was opened again" : "its last automatic evacuation ended")} at {since:u}", power);
        return new GateAnswer(GateOutcome.Act, "", power);
    }

    private static DateTimeOffset? Latest(DateTimeOffset? left, DateTimeOffset? right) => left is null ? right : right is null ? left : left > right ? left : right;
}
