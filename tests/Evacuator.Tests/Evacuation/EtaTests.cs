using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Evacuation;

public sealed class EtaTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    [Fact]
    public void OfMoves_NothingSeenYet_IsNotTold() =>
        Assert.Null(Eta.OfMoves([Move(0, 1 << 30, MovePhase.Planned)], 3, Start));

    [Fact]
    public void OfMoves_AllEnded_IsNotTold() =>
        Assert.Null(Eta.OfMoves([Move(0, 1 << 30, MovePhase.Moved) with { Started = Start, Ended = Start.AddSeconds(3) }], 3, Start.AddSeconds(4)));

    /// <summary>
    /// Evacuations as they happen, with moves that take a constant and their bytes, and waver by a third: from the moment in which a quarter of the containers has
    /// moved, what is told is off by less than a third of what is really left and two seconds.
    /// </summary>
    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 3)]
    [InlineData(3, 4)]
    [InlineData(4, 8)]
    public void OfMoves_AgainstWhatReallyHappens_IsHonest(int seed, int parallel)
    {
        Random random = new(seed);
        const int Count = 40;
        List<MoveState> moves = [.. Enumerable.Range(0, Count).Select(i => Move(i, random.NextInt64(16 << 20, 4L << 30), MovePhase.Planned)).OrderByDescending(move => move.Container.MemoryBytes)];
        moves = [.. moves.Select((move, order) => move with { Order = order })];
        double[] takes = [.. moves.Select(move => (1.5 + move.Container.MemoryBytes / 120e6) * (0.85 + 0.3 * random.NextDouble()))];

        // As the run does it: the next in order begins in the lane that is free first.
        double[] lanes = new double[parallel];
        (double Begin, double End)[] times = new (double, double)[Count];
        for (int i = 0; i < Count; i++)
        {
            int lane = Array.IndexOf(lanes, lanes.Min());
            times[i] = (lanes[lane], lanes[lane] + takes[i]);
            lanes[lane] = times[i].End;
        }

        double end = lanes.Max();
        int asked = 0;
        foreach (double now in times.Select(time => time.End).Order().Skip(Count / 4).Where(now => now < end))
        {
            List<MoveState> seen = [.. moves.Select((move, i) => At(move, times[i], now))];
            double told = Eta.OfMoves(seen, parallel, Start.AddSeconds(now))!.Value.TotalSeconds;
            Assert.True(Math.Abs(told - (end - now)) <= (end - now) / 3 + 2, $"at {now:0.0} s of {end:0.0} s: told {told:0.0} s, and {end - now:0.0} s were left");
            asked++;
        }

        Assert.True(asked > Count / 2);
    }

    /// <summary>
    /// One large container among small ones and tiny ones, on one wire that all share, in orders in which the large one comes first, last or in the middle. Followed second by second, as somebody who
    /// waits for it does, with what was sent lately and, as after a restart, without: a figure that is there is off by less than half of what is left and 5 s, and from one second to the next it does not jump.
    /// </summary>
    [Theory]
    [InlineData(1, 3, 0, false)]
    [InlineData(1, 3, 0, true)]
    [InlineData(2, 3, 6, false)]
    [InlineData(2, 3, 6, true)]
    [InlineData(3, 3, 3, false)]
    [InlineData(3, 3, 3, true)]
    [InlineData(4, 4, 1, false)]
    [InlineData(4, 4, 1, true)]
    [InlineData(5, 1, 0, false)]
    [InlineData(5, 1, 0, true)]
    [InlineData(6, 2, 11, false)]
    [InlineData(6, 2, 11, true)]
    public void OfMoves_SizesDifferAThousandTimesOnOneWire_IsHonestAndDoesNotJump(int seed, int parallel, int large, bool isFollowed)
    {
        const double Wire = 6.2e6, Step = 0.05;
        Random random = new(seed);
        long[] sizes = [.. Enumerable.Range(0, 12).Select(i => i == large ? 1L << 30 : i % 3 == 0 ? random.NextInt64(40 << 20, 120 << 20) : random.NextInt64(1 << 20, 8 << 20))];
        double[] before = [.. sizes.Select(_ => 0.5 + random.NextDouble())], after = [.. sizes.Select(_ => 0.5 + random.NextDouble())], sent = new double[sizes.Length];
        double?[] begun = new double?[sizes.Length], ended = new double?[sizes.Length];
        List<(double Now, double? Told)> figures = [];
        SentLately lately = SentLately.Nothing;
        double now = 0, counted = 0;
        for (int tick = 0; ended.Contains(null); tick++, now = tick * Step)
        {
            int[] going = [.. Enumerable.Range(0, sizes.Length).Where(i => begun[i] is not null && ended[i] is null)];
            foreach (int next in Enumerable.Range(0, sizes.Length).Where(i => begun[i] is null).Take(parallel - going.Length))
                begun[next] = now;
            int[] sending = [.. going.Where(i => now - begun[i] >= before[i] && sent[i] < sizes[i])];
            foreach (int i in sending)
                sent[i] = Math.Min(sizes[i], sent[i] + Wire * Step / sending.Length);
            foreach (int i in going.Where(i => sent[i] >= sizes[i] && (after[i] -= Step) <= 0))
                ended[i] = now;
            if (isFollowed && tick % 10 == 0)
                (lately, counted) = (lately.Add(Start.AddSeconds(now), (long)(sent.Sum() - counted)), sent.Sum());
            if (tick % 20 == 0)
                figures.Add((now, Eta.OfMoves([.. sizes.Select((size, i) => Moving(Move(i, size, MovePhase.Planned), begun[i], ended[i], (long)sent[i]))], parallel, Start.AddSeconds(now), lately)?.TotalSeconds));
        }

        (double Now, double Told)[] told = [.. figures.Where(figure => figure.Told is not null).Select(figure => (figure.Now, figure.Told!.Value))];
        Assert.True(told.Length > figures.Count * 3 / 4, $"{told.Length} figures in {figures.Count} s");
        Assert.All(told, figure => Assert.True(Math.Abs(figure.Told - (now - figure.Now)) <= (now - figure.Now) / 2 + 5, $"at {figure.Now:0} s of {now:0} s: told {figure.Told:0} s"));
        // One second has gone, so one second less is no jump; neither is a tenth of what is left, nor what the end of a small move comes to.
        Assert.All(told.Zip(told.Skip(1)), pair => Assert.True(
            Math.Abs(pair.Second.Told - (pair.First.Told - 1)) <= pair.First.Told / 5 + 3, $"at {pair.Second.Now:0} s of {now:0} s: {pair.First.Told:0} s, then {pair.Second.Told:0} s"));
    }

    /// <summary>
    /// 256 MiB and 32 MiB at 50 Mbit/s, first together and then one alone; both write all the time, which makes further rounds, are frozen when a round finds little, and nothing else is sent then.
    /// Measured once: told 387, 212, 228, 124, 75 and 45 s when 102, 86, 65, 35, 20 and 3 s were left. The small one was sent half as much again, for it took as long as the wire was shared; and
    /// little was sent in the first seconds.
    /// </summary>
    /// <param name="busy">seconds at the beginning in which something else has most of the wire</param>
    /// <param name="large">MiB that the large one writes in a second</param>
    [Theory]
    [InlineData(0, 1, 1)]
    [InlineData(12, 1, 1)]
    [InlineData(12, 0, 1)]
    [InlineData(5, 1.4, 1)]
    public void OfMoves_TwoThatWriteShareAWireAndThenOneIsAlone_IsWithinAHalfAndEndsAtZero(double busy, double large, double small)
    {
        const double Wire = 50e6 / 8, Step = 0.05, Every = 3, MiB = 1 << 20;
        Writer[] both = [new(256 * MiB, large * MiB, 2), new(32 * MiB, small * MiB, 1)];
        SentLately lately = SentLately.Nothing;
        List<(double Now, double? Told)> figures = [];
        double now = 0, told = 0;
        for (int tick = 0; tick < 10_000 && both.Any(one => one.Ended is null); tick++, now = tick * Step)
        {
            Writer[] sending = [.. both.Where(one => one.IsSending(now))];
            // What stands still has all of it, and what it sends is little.
            bool held = both.Any(one => one.Frozen is not null && one.Ended is null);
            foreach (Writer one in both)
                one.Go(now, Step, held || !sending.Contains(one) ? 0 : Wire / sending.Length * (now < busy ? 0.2 : 1));
            if (tick % 10 == 0)
            {
                double sum = both.Sum(one => one.Sent);
                (lately, told) = (lately.Add(Start.AddSeconds(now), (long)(sum - told)), sum);
            }
            if (tick % (int)(Every / Step) == 0)
                figures.Add((now, Eta.OfMoves([.. both.Select((one, i) => one.See(Move(i, (long)one.Size, MovePhase.Planned)))], 3, Start.AddSeconds(now), lately)?.TotalSeconds));
        }

        Assert.All(both, one => Assert.NotNull(one.Ended));
        string course = string.Join(", ", figures.Select(figure => $"{figure.Told:0}/{now - figure.Now:0}"));
        List<(double Told, double Left)> all = [.. figures.Where(figure => figure.Told is not null).Select(figure => (figure.Told!.Value, now - figure.Now))];
        Assert.True(all.Count > figures.Count * 2 / 3, course);
        Assert.True(all.Count(one => one.Told <= one.Left * 1.5 + 1 && one.Told >= one.Left / 1.5 - 1) >= all.Count * 0.8, course);
        // While something else has the wire nobody can know that it will end; afterwards it never goes up by more than what a pause of the wire comes to.
        Assert.All(figures.Zip(figures.Skip(1)).Where(pair => pair.First.Told is not null), pair => Assert.True(pair.Second.Told <= pair.First.Told * 1.15 + 1, course));
        Assert.True(Math.Abs(all[^1].Told - all[^1].Left) <= 3, course);
    }

    /// <summary>A container that writes random pages while it is sent in rounds: what is written behind the place where a round stands is found by the next.</summary>
    private sealed class Writer(double size, double writes, double freeze)
    {
        private const double Before = 2;
        private double _left = size, _round = size, _dirty;

        public double Size { get; } = size;

        public double Sent { get; private set; }

        public int Rounds { get; private set; } = 1;

        public double? Frozen { get; private set; }

        public double? Ended { get; private set; }

        public bool IsSending(double now) => now >= Before && Frozen is null;

        public void Go(double now, double step, double speed)
        {
            if (Frozen is { } since && Ended is null && now - since >= freeze)
                Ended = now;
            if (!IsSending(now))
                return;
            (Sent, _left) = (Sent + Math.Min(_left, speed * step), _left - Math.Min(_left, speed * step));
            _dirty = Math.Min(Size, _dirty + writes * step * (Rounds == 1 ? 1 - _left / _round : 1));
            if (_left > 0)
                return;
            if (_dirty < 1 << 20)
                Frozen = now;
            (_left, _round, _dirty, Rounds) = (_dirty, Math.Max(_dirty, 1), 0, Rounds + 1);
        }

        public MoveState See(MoveState move)
        {
            MoveState seen = Moving(move, 0, Ended, (long)Sent);
            return seen with { Last = seen.Last! with { Rounds = Rounds, Phase = Frozen is null ? SourcePhase.Copying : SourcePhase.Freezing } };
        }
    }

    private static MoveState Moving(MoveState move, double? begun, double? ended, long sent) => begun is not { } begin ? move : move with
    {
        Phase = ended is null ? MovePhase.Moving : MovePhase.Moved,
        Started = Start.AddSeconds(begin),
        Ended = ended is { } end ? Start.AddSeconds(end) : null,
        Last = new MoveReport
        {
            MoveId = Guid.Empty, EvacuationId = Guid.Empty, Container = move.Name, Destination = "b", Phase = SourcePhase.Copying, Detail = "", Started = Start, Updated = Start,
            BytesSent = sent, Rounds = 1, FreezeParts = new Dictionary<string, double>(),
        },
    };

    /// <summary>A link or a host that is free again: what is told follows the last moves, not the mean of all.</summary>
    [Theory]
    [InlineData(6, 2)]
    [InlineData(2, 6)]
    public void OfMoves_PaceChangesHalfway_FollowsIt(double before, double after)
    {
        const int Count = 42, Parallel = 3;
        List<MoveState> moves = [.. Enumerable.Range(0, Count).Select(i => Move(i, 64 << 20, MovePhase.Planned))];
        // Three at a time, each beginning when the one before it in its lane has ended.
        (double Begin, double End) Times(int i) => i < Count / 2 ? (i / Parallel * before, (i / Parallel + 1) * before)
            : (Count / 2 / Parallel * before + (i - Count / 2) / Parallel * after, Count / 2 / Parallel * before + ((i - Count / 2) / Parallel + 1) * after);

        double end = Times(Count - 1).End, now = Times(Count * 3 / 4).Begin;
        double told = Eta.OfMoves([.. moves.Select((move, i) => At(move, Times(i), now))], Parallel, Start.AddSeconds(now))!.Value.TotalSeconds;

        Assert.InRange(told, (end - now) * 0.7, (end - now) * 1.3);
    }

    /// <summary>Of 400 MiB, the first seconds move less than one MiB of files: told from that, the rest would take half an hour.</summary>
    [Fact]
    public void OfMoves_OnlyFilesOfALargeContainerSeen_IsNotTold()
    {
        MoveState big = At(Move(0, 400 << 20, MovePhase.Planned), (0, 1000), 5);
        MoveState files = big with { Last = big.Last! with { BytesSent = 900 << 10 } };
        Assert.Null(Eta.OfMoves([files], 3, Start.AddSeconds(5)));
        Assert.NotNull(Eta.OfMoves([files with { Last = big.Last! with { BytesSent = 40 << 20 } }], 3, Start.AddSeconds(6)));
    }

    /// <summary>Frozen until a silent peer answers, or a person says that it never will: how long that takes, no pace tells.</summary>
    [Fact]
    public void OfMoves_OneWaitsForASilentDestination_IsNotTold()
    {
        MoveState moved = At(Move(0, 64 << 20, MovePhase.Planned), (0, 2), 3), released = At(Move(1, 64 << 20, MovePhase.Planned), (0, 4), 3);
        Assert.NotNull(Eta.OfMoves([moved, released with { Released = Start.AddSeconds(2) }], 3, Start.AddSeconds(3)));
        Assert.Null(Eta.OfMoves([moved, released with { Released = Start.AddSeconds(2) }], 3, Start.AddSeconds(30)));
    }

    [Fact]
    public void WaitingFor_ASilentDestination_NamesTheWayOut()
    {
        MoveState move = At(Move(1, 64 << 20, MovePhase.Planned), (0, 4), 3) with { Released = Start.AddSeconds(2) };
        MoveReport report = move.Last! with { Destination = "node2", Phase = SourcePhase.Released, Detail = "released to node2 and frozen here until it answers" };

        Waiting waiting = ContainerRun.WaitingFor(move, report);

        Assert.Equal(("node2 to answer (released to node2 and frozen here until it answers)", Start.AddSeconds(2)), (waiting.For, waiting.Since));
        Assert.Contains("if node2 is gone for good: evacuator settle c1 --gone node2 --bmc URL", waiting.Next, StringComparison.Ordinal);
    }

    private static MoveState At(MoveState move, (double Begin, double End) time, double now)
    {
        if (time.Begin > now)
            return move;
        double part = Math.Min(1, (now - time.Begin) / (time.End - time.Begin));
        return move with
        {
            Phase = part >= 1 ? MovePhase.Moved : MovePhase.Moving,
            Started = Start.AddSeconds(time.Begin),
            Ended = part >= 1 ? Start.AddSeconds(time.End) : null,
            Last = new MoveReport
            {
                MoveId = Guid.Empty, EvacuationId = Guid.Empty, Container = move.Name, Destination = "b", Phase = SourcePhase.Copying, Detail = "", Started = Start, Updated = Start,
                BytesSent = (long)(part * move.Container.MemoryBytes), Rounds = 1, FreezeParts = new Dictionary<string, double>(),
            },
        };
    }

    private static MoveState Move(int order, long memory, MovePhase phase) => new()
    {
        EvacuationId = Guid.Empty, Container = FakeRack.Container($"c{order}", memory) with { DiskBytes = 0 }, Order = order, Phase = phase,
    };
}
