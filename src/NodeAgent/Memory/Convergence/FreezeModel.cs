using System.Text.Json.Serialization;

namespace Evacuator.NodeAgent.Memory.Convergence;

/// <summary>
/// Predicts how long a container will stand still: a price for each thing that takes time, and this host's own experience as a factor and a margin on the sum.
/// <para>
/// The prices start from measurements (docs/, CRIU 4.2 on two slow virtual processors) and are only scaled, never fitted one by one: a host sees few freezes, of containers that differ in everything
/// at once, and a fit over that many terms would follow noise. Scale and spread are exponentially weighted; one odd freeze moves them by a fifth of its error.
/// </para>
/// Immutable; <see cref="Learn"/> gives the next one. Serialised as plain JSON.
/// </summary>
/// <param name="FixedMilliseconds">Freezing, CRIU's start, images, the last exchange with the peer, restore of an empty process.</param>
/// <param name="PerProcessMilliseconds">Dump and restore of each process.</param>
/// <param name="PerThreadMilliseconds">Of each thread beyond a process' first.</param>
/// <param name="PerMappingMilliseconds">Of each line of maps.</param>
/// <param name="PerTrackedGibMilliseconds">Last scan and CRIU's own walk of page tables.</param>
/// <param name="PerUntrackedGibMilliseconds">CRIU writing, sending and restoring a GiB itself, apart from the wire.</param>
/// <param name="Scale">Experience: real over predicted.</param>
/// <param name="Spread">Experience: mean absolute error of the scaled prediction, as a part of it.</param>
/// <param name="Samples">How many freezes it has seen.</param>
internal sealed record FreezeModel(
    double FixedMilliseconds, double PerProcessMilliseconds, double PerThreadMilliseconds, double PerMappingMilliseconds,
    double PerTrackedGibMilliseconds, double PerUntrackedGibMilliseconds, double Scale, double Spread, int Samples)
{
    private const double Gib = 1UL << 30;
    private const double Weight = 0.2;

    /// <summary>Mean absolute error to largest error one has to expect: 2.5 covers 95 % of a normal distribution.</summary>
    private const double Margin = 2.5;

    private const double LowestScale = 0.2, HighestScale = 5, HighestSpread = 1;

    /// <summary>What --lazy-pages adds: CRIU looks at each page and puts it into a pipe (100 to 130 ms measured, CRIU 4.2).</summary>
    private const double LazyGibMilliseconds = 130;

    /// <summary>
    /// Shared memory that was sent ahead: read and compared beside the dump, then copied by CRIU's restore out of its image.
    /// </summary>
    private const double SharedGibMilliseconds = 900;

    /// <summary>Nothing learned yet: half as much again is added to every prediction.</summary>
    public static FreezeModel Initial { get; } = new(60, 4, 0.4, 0.012, 9, 700, Scale: 1, Spread: 0.2, Samples: 0);

    /// <summary>The expected length, without margin.</summary>
    public TimeSpan Expect(FreezeShape shape) => Milliseconds(Scale * Price(shape));

    /// <summary>The length that a freeze will hardly exceed. This is what is compared with the budget.</summary>
    public TimeSpan Predict(FreezeShape shape) => Milliseconds(Scale * Price(shape) * (1 + Margin * Spread));

    /// <summary>The bytes that may remain for a freeze within the budget; 0 where even none would not fit.</summary>
    public ulong AllowedResidual(FreezeShape shape, TimeSpan budget)
    {
        double left = budget.TotalMilliseconds / (Scale * (1 + Margin * Spread)) - Price(shape with { ResidualBytes = 0 });
        return left <= 0 || shape.BytesPerSecond <= 0 ? 0 : (ulong)Math.Min(left / 1000 * shape.BytesPerSecond, ulong.MaxValue / 2.0);
    }

    /// <summary>The model after one more freeze. Samples that say nothing (no time, no wire) change nothing.</summary>
    public FreezeModel Learn(FreezeSample sample)
    {
        double price = Price(sample.Shape);
        double real = sample.Frozen.TotalMilliseconds;
        if (!double.IsFinite(price) || price <= 0 || real <= 0)
            return this;
        double error = Math.Min(Math.Abs(real - Scale * price) / (Scale * price), HighestSpread);
        return this with
        {
            Scale = Math.Clamp(Scale + Weight * (real / price - Scale), LowestScale, HighestScale),
            Spread = Math.Clamp(Spread + Weight * (error - Spread), 0.02, HighestSpread),
            Samples = Samples + 1,
        };
    }

    /// <summary>A stored model that cannot be right (edited, of another version) is not used.</summary>
    [JsonIgnore]
    public bool IsSane => Samples >= 0
        && double.IsFinite(Scale) && Scale is >= LowestScale and <= HighestScale
        && double.IsFinite(Spread) && Spread is >= 0 and <= HighestSpread
        && new[] { FixedMilliseconds, PerProcessMilliseconds, PerThreadMilliseconds, PerMappingMilliseconds, PerTrackedGibMilliseconds, PerUntrackedGibMilliseconds }
            .All(price => double.IsFinite(price) && price >= 0);

    private double Price(FreezeShape shape)
    {
        double wire = shape.ResidualBytes + (double)shape.UntrackedBytes + shape.ImageBytes;
        return FixedMilliseconds
            + PerProcessMilliseconds * shape.Processes
            + PerThreadMilliseconds * Math.Max(0, shape.Threads - shape.Processes)
            + PerMappingMilliseconds * shape.Mappings
            + (PerTrackedGibMilliseconds + (shape.LazyDump ? LazyGibMilliseconds : 0)) * shape.TrackedBytes / Gib
            + PerUntrackedGibMilliseconds * shape.UntrackedBytes / Gib
            + SharedGibMilliseconds * shape.SharedBytes / Gib
            + (wire == 0 ? 0 : wire / Math.Max(shape.BytesPerSecond, 1) * 1000);
    }

    private static TimeSpan Milliseconds(double value) =>
        double.IsFinite(value) && value < TimeSpan.FromDays(1).TotalMilliseconds ? TimeSpan.FromMilliseconds(value) : TimeSpan.FromDays(1);
}
