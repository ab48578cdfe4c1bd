using System.Globalization;

namespace Evacuator.Simulation;

/// <summary>What came out. Written under the simulation's lock.</summary>
internal sealed class SimulationResult(SimulationOptions options, int limit, long allMemory, long leastOpen)
{
    private readonly List<double> _plans = [];
    private readonly List<double> _waits = [];
    private int _out;
    private long _questions;
    private long _answered;

    public int Limit { get; } = limit;

    public int MostOut { get; private set; }

    /// <summary>Percent of the memory that was on open nodes when it was least.</summary>
    public double LeastOpenPercent { get; private set; } = 100.0 * leastOpen / allMemory;

    public int Maintained { get; private set; }

    public int Moves { get; set; }

    /// <summary>Moves that found the planned room taken, and another.</summary>
    public int Replanned { get; set; }

    public int LeftBehind { get; set; }

    /// <summary>At the end, on all nodes.</summary>
    public int Containers { get; set; }

    public int SlotsLeft { get; set; }

    public double JoinSeconds { get; set; }

    public double Seconds { get; set; }

    /// <summary>Of all simulated nodes together, from the first that joins.</summary>
    public double ProcessorSeconds { get; set; }

    public double EtcdProcessorSeconds { get; set; }

    public string Progress => Text($"{Maintained} of {options.Nodes} nodes are done, {_out} are out; {Volatile.Read(ref _questions)} questions, {Volatile.Read(ref _answered) / 1e6:0.0} MB of answers");

    /// <summary>Without the lock.</summary>
    public void Asked(long bytes)
    {
        Interlocked.Increment(ref _questions);
        Interlocked.Add(ref _answered, bytes);
    }

    public void TakePlace(TimeSpan waited, long openMemory)
    {
        _waits.Add(waited.TotalSeconds);
        MostOut = Math.Max(MostOut, ++_out);
        LeastOpenPercent = Math.Min(LeastOpenPercent, 100.0 * openMemory / allMemory);
    }

    public void GivePlace()
    {
        _out--;
        Maintained++;
    }

    public void Planned(TimeSpan time) => _plans.Add(time.TotalMilliseconds);

    public IEnumerable<(string What, string Figure)> Lines()
    {
        yield return ("nodes, containers", Text($"{options.Nodes}, {options.Containers}"));
        yield return ("maintained, places", Text($"{Maintained}, {Limit} ({options.LimitPercent} %)"));
        yield return ("most nodes out at once", Text($"{MostOut}"));
        yield return ("least memory on open nodes", Text($"{LeastOpenPercent:0.0} % (minimum {options.HealthyPercent} %)"));
        yield return ("plan: median, 99 %, worst", Text($"{At(_plans, 0.5):0.0} ms, {At(_plans, 0.99):0.0} ms, {At(_plans, 1):0.0} ms"));
        yield return ("wait for a place: median, 99 %, longest", Text($"{At(_waits, 0.5):0.0} s, {At(_waits, 0.99):0.0} s, {At(_waits, 1):0.0} s"));
        yield return ("all of it", Text($"{Seconds:0.0} s, of which {Ideal:0.0} s are maintenance; before it {JoinSeconds:0.0} s in which all joined"));
        yield return ("processor time: all nodes, etcd", Text($"{ProcessorSeconds:0.0} s, {EtcdProcessorSeconds:0.0} s"));
        yield return ("questions to etcd, answers", Text($"{_questions}, {_answered / 1e6:0.0} MB"));
        yield return ("moves, replanned, left behind", Text($"{Moves}, {Replanned}, {LeftBehind}"));
        yield return ("containers at the end, places not given back", Text($"{Containers}, {SlotsLeft}"));
    }

    /// <summary>What must hold whatever the figures are; empty if it does.</summary>
    public IEnumerable<string> Broken()
    {
        if (MostOut > Limit)
            yield return Text($"{MostOut} nodes were out at once, and {Limit} may be");
        if (LeastOpenPercent < options.HealthyPercent - 0.01)
            yield return Text($"{LeastOpenPercent:0.00} % of the memory were on open nodes, and {options.HealthyPercent} % have to be");
        if (Maintained != options.Nodes)
            yield return Text($"{Maintained} of {options.Nodes} nodes had their turn");
        if (Containers != options.Containers)
            yield return Text($"{Containers} of {options.Containers} containers are there");
        if (LeftBehind > 0)
            yield return Text($"{LeftBehind} containers were left behind");
        if (SlotsLeft > 0)
            yield return Text($"{SlotsLeft} places were not given back");
    }

    /// <summary>The same for programs.</summary>
    public object Figures() => new
    {
        options.Nodes,
        options.Containers,
        options.LimitPercent,
        Places = Limit,
        MostOut,
        MinimumOpenPercent = options.HealthyPercent,
        LeastOpenPercent = Math.Round(LeastOpenPercent, 2),
        PlanMilliseconds = Spread(_plans, 2),
        WaitSeconds = Spread(_waits, 1),
        Seconds = Math.Round(Seconds, 1),
        OfWhichMaintenanceSeconds = Ideal,
        JoinSeconds = Math.Round(JoinSeconds, 1),
        ProcessorSeconds = Math.Round(ProcessorSeconds, 1),
        EtcdProcessorSeconds = Math.Round(EtcdProcessorSeconds, 1),
        QuestionsToEtcd = _questions,
        AnswersMegabytes = Math.Round(_answered / 1e6, 1),
        Maintained,
        Moves,
        Replanned,
        LeftBehind,
        ContainersAtTheEnd = Containers,
        PlacesNotGivenBack = SlotsLeft,
        Broken = Broken().ToArray(),
    };

    /// <summary>If every place were taken again the moment it is free.</summary>
    private double Ideal => Math.Ceiling(options.Nodes / (double)Limit) * options.Maintenance.TotalSeconds;

    private static object Spread(List<double> values, int digits) =>
        new { Median = Math.Round(At(values, 0.5), digits), Percentile99 = Math.Round(At(values, 0.99), digits), Worst = Math.Round(At(values, 1), digits) };

    private static double At(List<double> values, double part) => values.Count == 0 ? 0 : values.Order().ElementAt((int)Math.Min(values.Count - 1, Math.Floor(values.Count * part)));

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
