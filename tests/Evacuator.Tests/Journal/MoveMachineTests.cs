using Evacuator.Common.AgentApi;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;
using static Evacuator.Journal.MoveInput;
using static Evacuator.Journal.MovePhase;

namespace Evacuator.Tests.Journal;

public sealed class MoveMachineTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
    private static readonly Guid Id = Guid.NewGuid();

    private static readonly Dictionary<string, MoveInput> Inputs = new()
    {
        ["try"] = new Try("node3", Guid.NewGuid()),
        ["reserved"] = new Reserved("token"),
        ["refused"] = new Refused([new Blocker(BlockerCode.NotEnoughMemory, "full")]),
        ["none-left"] = new NoneLeft(),
        ["copying"] = new Progress(Report(SourcePhase.Copying)),
        ["released"] = new Progress(Report(SourcePhase.Released)),
        ["moved"] = new Progress(Report(SourcePhase.Moved)),
        ["stayed"] = new Progress(Report(SourcePhase.Stayed)),
        ["name-taken"] = new Progress(Report(SourcePhase.Stayed) with { Blocker = new Blocker(BlockerCode.NameTaken, "taken") }),
        ["io-uring"] = new Progress(Report(SourcePhase.Stayed) with { Blocker = new Blocker(BlockerCode.IoUring, "ring") }),
        ["too-late-taken"] = new Progress(Report(SourcePhase.Stayed) with { Blocker = new Blocker(BlockerCode.NameTaken, "taken"), FreezeMs = 90 }),
        ["cut"] = new Progress(Report(SourcePhase.Stayed) with { Blocker = new Blocker(BlockerCode.PeerUnreachable, "reset") }),
        ["cut-frozen"] = new Progress(Report(SourcePhase.Stayed) with { Blocker = new Blocker(BlockerCode.PeerUnreachable, "reset"), FreezeMs = 90 }),
        ["other-move"] = new Progress(Report(SourcePhase.Moved) with { MoveId = Guid.NewGuid() }),
        ["settled"] = new Settled(Unknown, "nobody knows"),
        ["settled-badly"] = new Settled(Planned, "no end"),
        ["cancel"] = new Cancel(),
        ["vanished"] = new Vanished(),
        ["deadline"] = new DeadlinePassed(),
        ["retry"] = new Retry(),
        ["group"] = new GroupBroken("c0"),
    };

    public static TheoryData<string, bool, string> Table => new()
    {
        { "Planned", false, "try→Reserving none-left→Blocked cancel→Cancelled vanished→Gone deadline→Blocked group→Blocked" },
        { "Reserving", false, "try→Reserving reserved→Moving refused→Planned settled→Unknown cancel→Cancelled deadline→Blocked" },
        { "Moving", false, "copying→Moving released→Moving moved→Moved stayed→Stayed name-taken→Planned cut→Planned cut-frozen→Planned io-uring→Stayed too-late-taken→Stayed settled→Unknown deadline→Moving" },
        { "Moving", true, "copying→Moving released→Moving moved→Moved stayed→Cancelled name-taken→Cancelled cut→Cancelled cut-frozen→Cancelled io-uring→Cancelled too-late-taken→Cancelled settled→Unknown deadline→Moving" },
        { "Moved", false, "" },
        { "Stayed", false, "retry→Planned" },
        { "Blocked", false, "retry→Planned" },
        { "Cancelled", false, "retry→Planned" },
        { "Unknown", false, "" },
        { "Gone", false, "" },
    };

    [Theory]
    [MemberData(nameof(Table))]
    public void Step_EveryInput_LeadsWhereTheTableSaysOrIsRefused(string phase, bool cancelling, string expected)
    {
        MoveState state = State(Enum.Parse<MovePhase>(phase));
        List<string> outcome = [];
        foreach ((string name, MoveInput input) in Inputs)
        {
            StepResult<MoveState> step = MoveMachine.Step(state, input, Now, cancelling);
            if (step.IsOk)
                outcome.Add($"{name}→{step.Next.Phase}");
            else
                Assert.Contains(phase, step.Error, StringComparison.Ordinal);
        }

        Assert.Equal(expected.Split(' ', StringSplitOptions.RemoveEmptyEntries).Order(), outcome.Order());
    }

    [Fact]
    public void Step_TwoPeersRefuse_BlockedNamesBothWithTheirReasons()
    {
        MoveState state = State(Planned);
        foreach ((string peer, BlockerCode code) in new[] { ("node2", BlockerCode.NameTaken), ("node3", BlockerCode.NotEnoughMemory) })
        {
            state = MoveMachine.Step(state, new Try(peer, Guid.NewGuid()), Now).Next!;
            state = MoveMachine.Step(state, new Refused([new Blocker(code, "reason")]), Now).Next!;
        }

        state = MoveMachine.Step(state, new NoneLeft(), Now).Next!;

        Assert.Equal(["node2: reason", "node3: reason"], state.Blockers.Select(blocker => blocker.Text));
        Assert.Equal([BlockerCode.NameTaken, BlockerCode.NotEnoughMemory], state.Blockers.Select(blocker => blocker.Code));
        Assert.Equal(Now, state.Ended);
    }

    [Theory]
    [InlineData("moved")]
    [InlineData("stayed")]
    [InlineData("settled")]
    public void Step_IntoAnEnd_ForgetsTheToken(string input) =>
        Assert.Null(MoveMachine.Step(State(Moving), Inputs[input], Now).Next!.Token);

    [Fact]
    public void Step_LiveFailsAndItMayBeStopped_LiveOnceMoreThenStopped()
    {
        MoveState state = State(Moving) with { Container = FakeRack.Container("c1", annotations: ("evacuator.policy", "cold")) };
        MoveInput failed = new Progress(Report(SourcePhase.Stayed) with { Detail = "the freeze budget was over", FreezeMs = 90 });

        state = MoveMachine.Step(state, failed, Now).Next!;
        Assert.Equal((Planned, MoveMode.Live, "node2"), (state.Phase, state.Mode, state.Destination));
        state = MoveMachine.Step(state with { Phase = Moving }, failed, Now).Next!;
        Assert.Equal((Planned, MoveMode.StopAndStart), (state.Phase, state.Mode));
        state = MoveMachine.Step(state with { Phase = Moving }, failed, Now).Next!;
        Assert.Equal((Stayed, MoveMode.StopAndStart, 2), (state.Phase, state.Mode, state.Rungs.Count));
    }

    /// <summary>It stands still each time, so one other peer is enough; and it stays where nobody but that peer, or only a stop, would do.</summary>
    [Fact]
    public void Step_LostInTheFreeze_GoesToOneOtherPeerAndStaysAfterThat()
    {
        MoveState state = MoveMachine.Step(State(Moving), Inputs["cut-frozen"], Now).Next!;
        Assert.Equal((Planned, "node2"), (state.Phase, Assert.Single(state.Attempts).Peer));
        Assert.Equal((MoveMode.Live, 90.0), (state.Mode, Assert.Single(state.Rungs).FreezeMs));

        MoveState again = state with { Phase = Moving, MoveId = Id, Destination = "node3" };
        Assert.Equal((Stayed, 90.0), MoveMachine.Step(again, Inputs["cut-frozen"], Now).Next is { } stayed ? (stayed.Phase, stayed.Last!.FreezeMs) : default);
        Assert.Equal(Moved, MoveMachine.Step(again, Inputs["moved"], Now).Next!.Phase);
    }

    [Fact]
    public void Step_LostInTheFreezeAndNobodyElseTakesIt_StayedAndWasNotOnlyBlocked()
    {
        MoveState state = MoveMachine.Step(State(Moving), Inputs["cut-frozen"], Now).Next!;
        state = MoveMachine.Step(state, new Try("node3", Guid.NewGuid()), Now).Next!;
        state = MoveMachine.Step(state, Inputs["refused"], Now).Next!;
        state = MoveMachine.Step(state, new NoneLeft(), Now).Next!;

        Assert.Equal((Stayed, "node2: reset; node3: full", 90.0), (state.Phase, state.Detail, state.Rungs[0].FreezeMs));
    }

    [Theory]
    [InlineData("bound")]
    [InlineData("late")]
    [InlineData("stopped")]
    public void Step_LostInTheFreezeAndNoOtherPeerIsAllowed_Stays(string why)
    {
        MoveState state = State(Moving) with { Bound = why == "bound", Late = why == "late", Mode = why == "stopped" ? MoveMode.StopAndStart : MoveMode.Live };
        Assert.Equal(Stayed, MoveMachine.Step(state, Inputs["cut-frozen"], Now).Next!.Phase);
    }

    [Fact]
    public void Step_DeadlineWhileItMoves_StopsWhatMayBeStoppedAndNamesTheRest()
    {
        MoveInput calledBack = new Progress(Report(SourcePhase.Stayed) with { Detail = "cancelled" });
        MoveState may = State(Moving) with { Container = FakeRack.Container("c1", annotations: ("evacuator.policy", "cold")) };
        may = MoveMachine.Step(MoveMachine.Step(may, new DeadlinePassed(), Now).Next!, calledBack, Now).Next!;
        MoveState not = MoveMachine.Step(MoveMachine.Step(State(Moving), new DeadlinePassed(), Now).Next!, calledBack, Now).Next!;

        Assert.Equal((Planned, MoveMode.StopAndStart), (may.Phase, may.Mode));
        Assert.Equal((Stayed, BlockerCode.DeadlineOver), (not.Phase, Assert.Single(not.Blockers).Code));
    }

    [Theory]
    [InlineData("stayed", false)]
    [InlineData("stayed", true)]
    public void Step_NotPermitted_IsNeverStopped(string input, bool late)
    {
        MoveState state = State(Moving) with { Late = late };
        for (int i = 0; i < 4; i++)
        {
            state = MoveMachine.Step(state with { Phase = Moving }, Inputs[input], Now).Next!;
            Assert.Equal((Stayed, MoveMode.Live), (state.Phase, state.Mode));
        }
    }

    private static MoveState State(MovePhase phase) => new()
    {
        EvacuationId = Guid.NewGuid(),
        Container = FakeRack.Container("c1"),
        Order = 0,
        Phase = phase,
        MoveId = Id,
        Destination = "node2",
        Token = phase == Moving ? "token" : null,
    };

    private static MoveReport Report(SourcePhase phase) => new()
    {
        MoveId = Id,
        EvacuationId = Guid.NewGuid(),
        Container = "c1",
        Destination = "node2",
        Phase = phase,
        Detail = "",
        Started = Now,
        Updated = Now,
        BytesSent = 0,
        Rounds = 0,
        FreezeParts = new Dictionary<string, double>(),
    };
}
