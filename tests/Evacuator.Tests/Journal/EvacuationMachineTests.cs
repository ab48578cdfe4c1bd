using Evacuator.Common.AgentApi;
using Evacuator.Journal;
using static Evacuator.Journal.EvacuationInput;
using static Evacuator.Journal.EvacuationPhase;

namespace Evacuator.Tests.Journal;

public sealed class EvacuationMachineTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    private static readonly Dictionary<string, EvacuationInput> Inputs = new()
    {
        ["closed"] = new AdmissionClosed(),
        ["plan"] = new PlanMade([]),
        ["refused"] = new PlanRefused([], "too large"),
        ["moves-ended"] = new MovesEnded(),
        ["appeared"] = new ContainersAppeared(["c9"]),
        ["empty"] = new EmptyProven([]),
        ["not-empty"] = new NotEmpty(null, "c1 is left"),
        ["witness"] = new WitnessFound("node2"),
        ["led"] = new LedSet("on"),
        ["impossible"] = new PowerOffImpossible("no witness"),
        ["verified"] = new PowerVerified(new PowerVerification("Off", "node2", Now, false)),
        ["cancel"] = new CancelRequested("root"),
        ["settled"] = new CancelSettled(),
        ["broke"] = new Broke("bug"),
        ["retry"] = new RetryRequested("root", ["c1"], "it had stayed"),
        ["not-returned"] = new NotReturned("closed"),
        ["noted"] = new Noted("restarted"),
    };

    /// <summary>Every input in every phase; what is not listed has to be refused.</summary>
    public static TheoryData<string, bool, string> Table => new()
    {
        { "Closing", false, "closed→Planning cancel→Cancelling broke→Failed noted→Closing" },
        { "Planning", false, "plan→Moving refused→Failed cancel→Cancelling broke→Failed noted→Planning" },
        { "Moving", false, "moves-ended→Proving cancel→Cancelling broke→Failed noted→Moving" },
        { "Proving", false, "appeared→Planning empty→Done not-empty→Failed cancel→Cancelling broke→Failed noted→Proving" },
        { "Proving", true, "appeared→Planning empty→ArrangingPowerOff not-empty→Failed cancel→Cancelling broke→Failed noted→Proving" },
        { "ArrangingPowerOff", true, "witness→PoweringOff led→ArrangingPowerOff impossible→Failed cancel→Cancelling broke→Failed noted→ArrangingPowerOff" },
        { "PoweringOff", true, "led→PoweringOff impossible→Failed verified→Done broke→Failed noted→PoweringOff" },
        { "Done", false, "noted→Done" },
        { "Failed", false, "retry→Closing noted→Failed" },
        { "Cancelling", false, "cancel→Cancelling settled→Cancelled broke→Failed noted→Cancelling" },
        { "Cancelled", false, "cancel→Cancelled noted→Cancelled" },
    };

    [Theory]
    [MemberData(nameof(Table))]
    public void Step_EveryInput_LeadsWhereTheTableSaysOrIsRefused(string phase, bool powerOff, string expected)
    {
        EvacuationState state = State(Enum.Parse<EvacuationPhase>(phase), powerOff);
        List<string> outcome = [];
        foreach ((string name, EvacuationInput input) in Inputs)
        {
            StepResult<EvacuationState> step = EvacuationMachine.Step(state, input, Now);
            if (step.IsOk)
                outcome.Add($"{name}→{step.Next.Phase}");
            else
                Assert.Contains(phase, step.Error, StringComparison.Ordinal);
        }

        Assert.Equal(expected.Split(' ').Order(), outcome.Order());
    }

    [Fact]
    public void Step_IntoAnEnd_IsDatedOnceAndAnAfterthoughtDoesNotMoveTheDate()
    {
        EvacuationState done = EvacuationMachine.Step(State(Proving, false), new EmptyProven([]), Now).Next!;
        EvacuationState noted = EvacuationMachine.Step(done, new Noted("later"), Now.AddHours(1)).Next!;

        Assert.Equal(Now, done.Ended);
        Assert.Equal(Now, noted.Ended);
    }

    [Fact]
    public void Step_NotEmptyAfterAProof_KeepsTheLookThatFoundSomething()
    {
        EmptinessReport look = new(false, Now, [new EmptinessCheck("veths", false, 3, ["veth1"])]);
        EvacuationState state = State(PoweringOff, true) with { Proof = [new EmptinessReport(true, Now, []), new EmptinessReport(true, Now, [])] };

        EvacuationState failed = EvacuationMachine.Step(state, new PowerOffImpossible("came back", look), Now).Next!;

        Assert.Equal([look], failed.Proof);
        Assert.Equal("came back", failed.Problem);
    }

    [Fact]
    public void PowerVerified_HostComesBackLater_EndedWhenItWasSeenOff()
    {
        DateTimeOffset off = Now + TimeSpan.FromSeconds(40);
        EvacuationState state = State(PoweringOff, powerOff: true) with { Started = Now };

        EvacuationState done = EvacuationMachine.Step(state, new PowerVerified(new PowerVerification("Off", "node2", off, false)), Now + TimeSpan.FromHours(3)).Next!;

        Assert.Equal(off, done.Ended);
    }

    [Fact]
    public void NotReturned_OnlyWhereItWasToComeBack()
    {
        EvacuationState asked = State(Cancelled, false) with { ReturnMoved = true };

        Assert.Equal((Cancelled, "closed"), EvacuationMachine.Step(asked, new NotReturned("closed"), Now).Next is { } next ? (next.Phase, next.ReturnProblem) : default);
        Assert.False(EvacuationMachine.Step(State(Cancelled, false), new NotReturned("closed"), Now).IsOk);
    }

    private static EvacuationState State(EvacuationPhase phase, bool powerOff) => new()
    {
        Id = Guid.NewGuid(),
        Node = "node1",
        BootId = "boot-1",
        Trigger = new Trigger { Kind = TriggerKind.Operator, Key = "k", Reason = "r", RequestedBy = "root", PowerOff = powerOff },
        Phase = phase,
        Started = Now.AddMinutes(-1),
        Updated = Now.AddMinutes(-1),
    };
}
