using System.Text.Json;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.Memory.Convergence;

namespace Evacuator.NodeAgent.Tests.Memory;

public sealed class ConvergenceTests
{
    private const ulong Mib = 1 << 20;
    private const double Wire = 1e9;
    private static readonly Measurements Measured = new(Wire, FreezeModel.Initial);
    private static readonly ConvergenceBudget Budget = new(TimeSpan.FromMilliseconds(300), 30, TimeSpan.FromMinutes(10), 0.2);

    [Fact]
    public void Next_BeforeAnyRound_GoesOn() =>
        Assert.Equal(DecisionKind.AnotherRound, ConvergencePolicy.Next(new RoundHistory([], TimeSpan.Zero), Measured, Budget).Kind);

    [Theory]
    [InlineData(15, 0.5, false)]
    [InlineData(16, 0.5, true)]
    [InlineData(500, 1, false)]
    public void Calm_BeforeAFreeze_HelpsWhoWritesMuchAndMayBeSlowedDown(int last, double speed, bool helps) =>
        Assert.Equal(helps, CalmPolicy.Helps(TimeSpan.FromMilliseconds(last), speed));

    [Theory]
    // The first sends what was written before: it says nothing of the lower speed.
    [InlineData(1, 60, 61, 61, true)]
    [InlineData(1, 60, 61, 1000, false)]
    [InlineData(2, 60, 30, 90, true)]
    [InlineData(2, 60, 55, 115, false)]
    [InlineData(3, 30, 15, 105, false)]
    [InlineData(4, 200, 100, 900, true)]
    [InlineData(5, 200, 100, 900, false)]
    public void Calm_AfterRounds_GoesOnWhileItHelps(int rounds, int before, int last, int elapsed, bool another) =>
        Assert.Equal(another, CalmPolicy.GoesOn(rounds, TimeSpan.FromMilliseconds(before), TimeSpan.FromMilliseconds(last), TimeSpan.FromMilliseconds(elapsed)));

    [Theory]
    // Dirty MiB of each round, the last one deciding.
    [InlineData(nameof(DecisionKind.AnotherRound), 4096)]
    [InlineData(nameof(DecisionKind.AnotherRound), 10)]
    [InlineData(nameof(DecisionKind.FreezeNow), 4096, 20)]
    [InlineData(nameof(DecisionKind.AnotherRound), 4096, 400)]
    [InlineData(nameof(DecisionKind.FreezeNow), 4096, 400, 30)]
    [InlineData(nameof(DecisionKind.AnotherRound), 4096, 4000, 4000)]
    [InlineData(nameof(DecisionKind.HelpConverge), 4096, 4000, 4000, 4100)]
    public void Next_AfterRounds_Decides(string kind, params int[] dirty)
    {
        Decision decision = ConvergencePolicy.Next(History([.. dirty.Select(mib => (mib, 1.0))]), Measured, Budget);
        Assert.Equal((kind, GiveUpReason.None), ($"{decision.Kind}", decision.Reason));
    }

    [Fact]
    public void Next_AtTheLowestThrottleWithoutProgress_GivesUp()
    {
        Decision decision = ConvergencePolicy.Next(History([(4096, 1), (4000, 1), (4000, 1), (4000, 0.2), (4000, 0.2), (4000, 0.2)]), Measured, Budget);
        Assert.Equal((DecisionKind.GiveUp, GiveUpReason.WritesFasterThanWire), (decision.Kind, decision.Reason));
        Assert.Contains("written", decision.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Next_WhereHelpIsForbidden_GivesUpWithoutIt()
    {
        Decision decision = ConvergencePolicy.Next(History([(4096, 1), (4000, 1), (4000, 1), (4000, 1)]), Measured, Budget with { LowestThrottle = 1 });
        Assert.Equal((DecisionKind.GiveUp, GiveUpReason.WritesFasterThanWire), (decision.Kind, decision.Reason));
    }

    [Fact]
    public void Next_BudgetBelowTheFixedCost_GivesUpAndSaysWhatTakesTheTime()
    {
        Decision decision = ConvergencePolicy.Next(History([(4096, 1), (0, 1)]), Measured, Budget with { Freeze = TimeSpan.FromMilliseconds(50) });
        Assert.Equal((DecisionKind.GiveUp, GiveUpReason.FixedCostOverBudget), (decision.Kind, decision.Reason));
        Assert.Contains("processes", decision.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Next_PastTheDeadline_GivesUp() =>
        Assert.Equal(GiveUpReason.Deadline, ConvergencePolicy.Next(History([(4096, 1), (2000, 1)]) with { Elapsed = TimeSpan.FromHours(1) }, Measured, Budget).Reason);

    [Fact]
    public void Next_AtTheDeadlineButFitting_Freezes() =>
        Assert.Equal(DecisionKind.FreezeNow, ConvergencePolicy.Next(History([(4096, 1), (5, 1)]) with { Elapsed = TimeSpan.FromHours(1) }, Measured, Budget).Kind);

    /// <summary>Thousands of random containers, wires and budgets against a simulated writer: whatever the numbers, it ends, and never freezes beyond the budget.</summary>
    [Fact]
    public void Next_OverRandomContainers_EndsAndNeverFreezesBeyondTheBudget()
    {
        Random random = new(20261121);
        Dictionary<DecisionKind, int> ends = [];
        for (int run = 0; run < 5000; run++)
        {
            ulong memory = (ulong)(random.NextDouble() * random.NextDouble() * 64 * 1024) * Mib + 1;
            double workingSet = memory * random.NextDouble();
            double dirtyRate = Math.Pow(10, random.NextDouble() * 6 + 4);
            double wire = Math.Pow(10, random.NextDouble() * 5 + 5);
            ConvergenceBudget budget = new(TimeSpan.FromMilliseconds(random.Next(20, 2000)), random.Next(1, 60), TimeSpan.FromSeconds(random.Next(1, 3600)), random.NextDouble());
            Measurements measured = new(wire, FreezeModel.Initial with { Scale = 0.2 + random.NextDouble() * 4, Spread = random.NextDouble() });
            int processes = random.Next(1, 60);
            List<RoundResult> rounds = [];
            double left = memory, throttle = 1, elapsed = 0;
            while (true)
            {
                Decision decision = ConvergencePolicy.Next(new RoundHistory(rounds, TimeSpan.FromSeconds(elapsed)), measured, budget);
                if (decision.Kind == DecisionKind.FreezeNow)
                {
                    FreezeShape shape = FreezeShape.From(rounds[^1].Round, rounds[^1].Round.DirtyBytes, wire);
                    Assert.True(measured.Model.Predict(shape) <= budget.Freeze, $"run {run}: froze with {measured.Model.Predict(shape)} of {budget.Freeze}");
                    Assert.True(decision.Predicted <= budget.Freeze);
                }
                if (decision.Kind == DecisionKind.HelpConverge)
                    Assert.True(decision.Throttle < throttle && decision.Throttle >= budget.LowestThrottle);
                Assert.Equal(decision.Kind == DecisionKind.GiveUp, decision.Reason != GiveUpReason.None);
                if (decision.Kind is DecisionKind.FreezeNow or DecisionKind.GiveUp)
                {
                    ends[decision.Kind] = ends.GetValueOrDefault(decision.Kind) + 1;
                    break;
                }
                throttle = decision.Throttle;
                double seconds = Math.Min(left / wire + 0.01, 1e6);
                rounds.Add(new RoundResult(Round(rounds.Count + 1, (ulong)left, memory, processes), throttle));
                elapsed += seconds;
                left = Math.Min(workingSet, dirtyRate * throttle * seconds * (0.5 + random.NextDouble()));
                Assert.True(rounds.Count <= budget.MaximumRounds, $"run {run} does not end");
            }
        }
        // A policy that always gives up, or never does, would pass the rest.
        Assert.True(ends.GetValueOrDefault(DecisionKind.FreezeNow) > 500 && ends.GetValueOrDefault(DecisionKind.GiveUp) > 500, string.Join(", ", ends));
    }

    [Fact]
    public void Model_FedWithALinearHost_PredictsIt()
    {
        Random random = new(7);
        FreezeModel model = FreezeModel.Initial;
        FreezeShape Shape() => new(random.Next(1, 30), random.Next(30, 100), random.Next(100, 5000), (ulong)random.Next(4096) * Mib, (ulong)random.Next(100) * Mib, (ulong)random.Next(50) * Mib, Wire);
        for (int i = 0; i < 60; i++)
        {
            FreezeShape shape = Shape();
            model = model.Learn(new FreezeSample(shape, FreezeModel.Initial.Expect(shape) * 1.7));
        }
        FreezeShape next = Shape();
        TimeSpan real = FreezeModel.Initial.Expect(next) * 1.7;
        Assert.InRange(model.Predict(next) / real, 1.0, 1.15);
        Assert.True(model.IsSane && model.Samples == 60);
    }

    [Fact]
    public void Model_OneOddFreeze_IsNotBelieved()
    {
        FreezeShape shape = new(1, 1, 100, 0, 0, 0, Wire);
        FreezeModel model = FreezeModel.Initial.Learn(new FreezeSample(shape, TimeSpan.FromHours(1)));
        Assert.InRange(model.Scale, 1, 5);
        Assert.True(model.Predict(shape) > FreezeModel.Initial.Predict(shape));
        Assert.Equal(FreezeModel.Initial, FreezeModel.Initial.Learn(new FreezeSample(shape, TimeSpan.Zero)));
    }

    [Fact]
    public void Model_AllowedResidual_IsWhatFitsTheBudget()
    {
        FreezeShape shape = new(3, 20, 900, 4096 * Mib, 0, 10 * Mib, Wire);
        ulong allowed = FreezeModel.Initial.AllowedResidual(shape, Budget.Freeze);
        Assert.InRange(FreezeModel.Initial.Predict(shape with { ResidualBytes = allowed }).TotalMilliseconds, 299.9, 300.1);
        Assert.Equal(0UL, FreezeModel.Initial.AllowedResidual(shape, TimeSpan.FromMilliseconds(1)));
        Assert.Equal(TimeSpan.FromDays(1), FreezeModel.Initial.Predict(shape with { BytesPerSecond = 0 }));
    }

    [Fact]
    public void Model_AsJson_ComesBackEqual()
    {
        FreezeModel model = FreezeModel.Initial.Learn(new FreezeSample(new FreezeShape(1, 1, 1, 0, 0, 0, Wire), TimeSpan.FromMilliseconds(90)));
        Assert.Equal(model, JsonSerializer.Deserialize<FreezeModel>(JsonSerializer.Serialize(model)));
        Assert.False((model with { Scale = double.NaN }).IsSane);
    }

    [Fact]
    public void PersistedNumbers_AreFrozen()
    {
        Assert.Equal(["1 FreezeNow", "2 AnotherRound", "3 HelpConverge", "4 GiveUp"], Enum.GetValues<DecisionKind>().Select(kind => $"{(int)kind} {kind}"));
        Assert.Equal(["0 None", "1 FixedCostOverBudget", "2 WritesFasterThanWire", "3 RoundLimit", "4 Deadline"], Enum.GetValues<GiveUpReason>().Select(reason => $"{(int)reason} {reason}"));
        Assert.Equal(["1 Data", "2 Zero", "3 Dropped", "4 Away"], Enum.GetValues<PageRangeKind>().Select(kind => $"{(int)kind} {kind}"));
    }

    private static RoundHistory History(params (int Mib, double Throttle)[] rounds) =>
        new([.. rounds.Select((round, i) => new RoundResult(Round(i + 1, (ulong)round.Mib * Mib, 4096 * Mib, 3), round.Throttle))], TimeSpan.FromSeconds(rounds.Length));

    private static RoundStatistics Round(int number, ulong dirty, ulong memory, int processes) =>
        new(number, false, processes, 0, processes * 4, processes * 100, 1, dirty, dirty, 0, 0, memory, 5 * Mib, TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero);
}
