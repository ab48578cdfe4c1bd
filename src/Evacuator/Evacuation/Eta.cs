using Evacuator.Common.AgentApi;
using Evacuator.Journal;

namespace Evacuator.Evacuation;

/// <summary>
/// How long the moves of an evacuation will still take, from how long its own moves have taken: no figure before there is something to tell it from. A pure function.
/// </summary>
/// <remarks>
/// A move costs a constant (asking, reserving, freezing, removing) and its bytes. Both are taken from what has been seen: the constant from finished moves, the bytes' speed from all that was sent, also
/// by moves that are under way, so that a large container's gigabytes count for more than the seconds of three small ones, or from the last seconds alone where those are known. How much faster a
/// move goes when fewer go beside it is seen, too, once there were fewer; what a container writes while it moves, from those that have moved. What is left is then played through in as many lanes as move at once, in the order of departure, as the run itself does it.
/// </remarks>
internal static class Eta
{
    /// <summary>Before this much has happened, any figure would be a guess.</summary>
    private static readonly TimeSpan Least = TimeSpan.FromSeconds(1);

    /// <summary>
    /// How much larger than all that was seen what is left may be. Files go first and are small: from the pace of the first of them, memory seems to take hours.
    /// </summary>
    private const double Reach = 16;

    /// <summary>
    /// How the speed of all grows with the number of moves, as its power: hardly where the wire is the limit, with each where every move has its own. A move has as many connections as it takes to fill a wire
    /// alone, so the first is taken for true until the second explains clearly better what was seen: nobody can tell before the number of moves has changed.
    /// </summary>
    private const double OneWire = 0.3, OwnWires = 1;

    /// <summary>Clearly: its error is less than this part of the other's.</summary>
    private const double Clearly = 0.7;

    /// <summary>A container that was released so long ago does not wait for its restore: its destination is silent, and nobody knows for how long.</summary>
    private static readonly TimeSpan LongRelease = TimeSpan.FromSeconds(10);

    private readonly record struct Seen(double Bytes, double Begin, double End, bool IsFinished)
    {
        public double Seconds => End - Begin;
    }

    /// <summary>Of a container's size, what is sent of it beyond that before any other has shown how much that is here.</summary>
    private const double FirstGuess = 1.0 / 16;

    /// <param name="parallel">moves at once</param>
    /// <param name="lately">what all of them have sent in the last seconds; null or empty: not known, as after a restart</param>
    /// <returns>null: cannot be told yet, or nothing is left to move</returns>
    public static TimeSpan? OfMoves(IReadOnlyList<MoveState> moves, int parallel, DateTimeOffset now, SentLately? lately = null)
    {
        parallel = Math.Max(1, parallel);
        List<MoveState> open = [.. moves.Where(move => !move.Phase.IsEnd()).OrderByDescending(move => move.Phase).ThenBy(move => move.Order)];
        // A clock that was set in between says nothing of a move's pace.
        List<MoveState> ended = [.. moves.Where(move => move is { Phase: MovePhase.Moved, Started: not null, Ended: not null } && move.Ended > move.Started).OrderBy(move => move.Ended)];
        List<Seen> finished = [.. ended.Select(move => new Seen(move.Last is { BytesSent: > 0 and var sent } ? sent : Size(move), Ago(move.Started), Ago(move.Ended), true))];
        List<Seen> running =
        [
            .. open.Where(move => move is { Phase: MovePhase.Moving, Last.BytesSent: > 0 } && now > move.Started).Select(move => new Seen(move.Last!.BytesSent, Ago(move.Started), 0, false)),
        ];
        if (open.Count == 0 || finished.Count == 0 && running.All(move => move.Seconds < Least.TotalSeconds))
            return null;
        if (open.Any(move => move.Phase == MovePhase.Moving && now - move.Released > LongRelease))
            return null;
        if (open.Max(Size) > Reach * finished.Concat(running).Max(move => move.Bytes))
            return null;

        double constant = ConstantOf(finished.Count > 0 ? finished : running);
        List<Seen> all = [.. finished, .. running];
        (double rate, double sharing) = SpeedOf(all, constant);
        if (RateLately(all, constant, sharing, lately, now) is { } present)
        {
            rate = present;
        }
        else
        {
            double pace = PaceOf(finished, all, constant, rate, sharing, parallel);
            (constant, rate) = (constant * pace, rate / pace);
        }

        Beyond beyond = BeyondOf(ended, finished);
        double share = rate * Math.Pow(Math.Min(parallel, open.Count), sharing - 1);
        Queue<(double Constant, double Bytes)> left = new(open.Select(move =>
        {
            double done = move.Started is { } started && move.Phase != MovePhase.Planned ? (now - started).TotalSeconds : 0;
            // Half of it is at the end. One that has taken longer than thought is not "just done" for ever.
            return (Math.Max(constant - done, constant / 2), BytesLeft(move, beyond, done, share));
        }));
        return TimeSpan.FromSeconds(Math.Round(Play(left, parallel, rate, sharing), 1));

        double Ago(DateTimeOffset? time) => -(now - time!.Value).TotalSeconds;
    }

    /// <summary>What is sent of a container other than its size.</summary>
    /// <param name="Part">of its size: less than 1 where it has zeroes or is compressed</param>
    /// <param name="PerSecond">
    /// bytes for each second that its move takes, since that is when it writes; null: not seen so far. By its size it would grow with how many shared the wire: 32 MiB beside another
    /// were sent half as much again, and the 256 MiB beside it only a tenth
    /// </param>
    private readonly record struct Beyond(double Part, double? PerSecond);

    private static Beyond BeyondOf(List<MoveState> ended, List<Seen> finished)
    {
        double sizes = ended.Sum(move => (double)Size(move)), sent = finished.Sum(move => move.Bytes);
        return sizes > 0 && sent > 0 ? new Beyond(Math.Clamp(sent / sizes, 0.1, 1), Math.Max(0, sent - sizes) / finished.Sum(move => move.Seconds)) : new Beyond(1, null);
    }

    /// <param name="took">seconds since it began</param>
    /// <param name="speed">bytes a second, its part of the wire</param>
    private static double BytesLeft(MoveState move, Beyond beyond, double took, double speed)
    {
        // Frozen or later: what is sent then is part of the constant, unless it is fetched.
        if (move is { Phase: MovePhase.Moving, Last.Phase: > SourcePhase.Copying and not SourcePhase.Reverting })
            return move.Last.Fetch?.BytesLeft ?? 0;
        double size = beyond.Part * Size(move), sent = move.Last?.BytesSent ?? 0, over = Math.Max(0, sent - size);
        // Passes are counted over its files first, and then from 1 again over its memory.
        bool again = move.Last is { Rounds: >= 2 } && sent - beyond.Part * move.Container.DiskBytes > (size - beyond.Part * move.Container.DiskBytes) / 2;
        double first = again ? 0 : Math.Max(0, size - sent);
        // What it writes while that is sent is sent, too, and it writes meanwhile.
        double writes = beyond.PerSecond is { } perSecond ? perSecond * (took + first / speed) / (1 - Math.Min(0.75, perSecond / speed)) : FirstGuess * size;
        double further = Math.Max(0, Math.Min(writes, size) - over);
        // Each round finds less than the one before it, and not nothing, or there would be no further one.
        return again ? Math.Max(further * Math.Pow(0.5, move.Last!.Rounds - 2), over * Math.Pow(0.5, move.Last.Rounds)) : first + further;
    }

    /// <summary>
    /// Bytes per second of a move that is alone, by the last seconds only: a move's beginning, in which little is sent, and a wire that others had, would else count until its end.
    /// </summary>
    /// <returns>null: too little is known of them</returns>
    private static double? RateLately(List<Seen> all, double constant, double sharing, SentLately? lately, DateTimeOffset now)
    {
        if (lately?.Since(now) is not var (seconds, bytes) || bytes <= 0)
            return null;
        double turns = all
            .Select(move => move with { Begin = Math.Max(move.Begin + constant / 2, -seconds), End = move.IsFinished ? move.End - constant / 2 : 0 })
            .Where(move => move.Seconds > 0).Sum(move => Turns(move, all, sharing));
        return turns >= seconds / 4 ? bytes / turns : null;
    }

    /// <summary>
    /// The large leave first, and from moves of one size nobody can tell the constant from the bytes, however much they waver: until sizes differ clearly, a second of each move is taken
    /// for the constant. Then least squares of relative errors.
    /// </summary>
    private static double ConstantOf(List<Seen> seen)
    {
        double constant = Math.Min(1, seen.Average(move => move.Seconds) / 2);
        if (seen.Count < 4 || seen.Max(move => move.Bytes) < 4 * Math.Max(1, seen.Min(move => move.Bytes)))
            return constant;
        double weights = seen.Sum(Weight);
        double bytes = seen.Sum(move => Weight(move) * move.Bytes) / weights, seconds = seen.Sum(move => Weight(move) * move.Seconds) / weights;
        double spread = seen.Sum(move => Weight(move) * (move.Bytes - bytes) * (move.Bytes - bytes));
        double slope = seen.Sum(move => Weight(move) * (move.Bytes - bytes) * (move.Seconds - seconds)) / spread;
        // Neither can be negative; what says so is noise.
        return slope > 0 && seconds - slope * bytes >= 0 ? seconds - slope * bytes : constant;

        static double Weight(Seen move) => 1 / Math.Max(move.Seconds * move.Seconds, 1e-6);
    }

    /// <summary>Bytes per second of a move that is alone, and how that of all grows with their number.</summary>
    private static (double Rate, double Sharing) SpeedOf(List<Seen> seen, double constant)
    {
        (double oneRate, double oneError) = Explain(seen, constant, OneWire);
        (double ownRate, double ownError) = Explain(seen, constant, OwnWires);
        return ownError < Clearly * oneError ? (ownRate, OwnWires) : (oneRate, OneWire);
    }

    /// <returns>the speed that explains all that was sent, and by how many bytes each move is off</returns>
    private static (double Rate, double Error) Explain(List<Seen> seen, double constant, double sharing)
    {
        double[] turns = [.. seen.Select(move => Turns(move, seen, sharing) * Sending(move, constant))];
        double rate = seen.Sum(move => move.Bytes) / Math.Max(turns.Sum(), 1e-3);
        return (rate, seen.Select((move, i) => Math.Abs(move.Bytes - rate * turns[i])).Sum());
    }

    /// <summary>Seconds of a wire of its own that this move has had.</summary>
    private static double Turns(Seen move, List<Seen> all, double sharing)
    {
        double[] times = [.. all.SelectMany(other => (double[])[other.Begin, other.End]).Where(time => time > move.Begin && time < move.End).Append(move.Begin).Append(move.End).Order()];
        double turns = 0;
        for (int i = 1; i < times.Length; i++)
        {
            double middle = (times[i - 1] + times[i]) / 2;
            turns += (times[i] - times[i - 1]) * Math.Pow(all.Count(other => other.Begin <= middle && middle <= other.End), sharing - 1);
        }

        return turns;
    }

    /// <summary>Part of its time in which it sent.</summary>
    private static double Sending(Seen move, double constant) =>
        move.Seconds <= 0 ? 0 : Math.Max(move.Seconds - (move.IsFinished ? constant : constant / 2), move.Seconds / 20) / move.Seconds;

    /// <summary>
    /// How much longer than that moves take now. The pace changes on the way: the first moves find nothing prepared, and hosts and links have other work, too. A move counts
    /// half for each <paramref name="parallel"/> that have ended since.
    /// </summary>
    /// <param name="finished">in the order in which they ended</param>
    private static double PaceOf(List<Seen> finished, List<Seen> all, double constant, double rate, double sharing, int parallel)
    {
        double took = 0, thought = 0;
        for (int i = 0; i < finished.Count; i++)
        {
            Seen move = finished[i];
            double weight = Math.Pow(0.5, (finished.Count - 1.0 - i) / parallel);
            took += weight * move.Seconds;
            thought += weight * (constant + move.Bytes / rate * move.Seconds / Math.Max(Turns(move, all, sharing), 1e-6));
        }

        // Of a few small moves it would say little of the large ones that are under way.
        double known = finished.Sum(move => move.Bytes) / all.Sum(move => move.Bytes);
        return thought > 0 ? Math.Pow(took / thought, known) : 1;
    }

    /// <summary>The moves that are left, one after the other in each lane.</summary>
    private static double Play(Queue<(double Constant, double Bytes)> left, int parallel, double rate, double sharing)
    {
        List<(double Constant, double Bytes)> going = [];
        double time = 0;
        while (true)
        {
            while (going.Count < parallel && left.TryDequeue(out (double, double) next))
                going.Add(next);
            if (going.Count == 0)
                return time;
            double speed = rate * Math.Pow(going.Count, sharing - 1);
            double step = going.Min(move => move.Constant + move.Bytes / speed);
            time += step;
            going =
            [
                .. going.Select(move => (Constant: Math.Max(0, move.Constant - step), Bytes: Math.Max(0, move.Bytes - Math.Max(0, step - move.Constant) * speed)))
                    .Where(move => move.Constant + move.Bytes / speed > 1e-6),
            ];
        }
    }

    private static long Size(MoveState move) => (move.Mode == MoveMode.Live ? move.Container.MemoryBytes : 0) + move.Container.DiskBytes;
}
