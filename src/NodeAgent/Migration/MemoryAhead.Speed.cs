using Evacuator.NodeAgent.Memory;

namespace Evacuator.NodeAgent.Migration;

/// <summary>What the last pass will get of the wire: all that the others of this host leave, and they hold then.</summary>
internal sealed partial class MemoryAhead
{
    /// <summary>A guess on the low side, for a host that has never had more to send than its wire took.</summary>
    private const double Unknown = 100e6;

    /// <summary>What was sent and what it took, the last round for half.</summary>
    private double _wireBytes, _wireSeconds;

    /// <summary>By its own rounds; 0 before one that was long enough to tell.</summary>
    private double _measured;

    /// <summary>The others hold: its rounds give way to nobody, and what they get is what its freeze will get.</summary>
    private bool _alone;

    /// <summary>
    /// Of a round that had the wire to itself if there was one. Else the more of what its rounds got beside others and what all of them together have got lately: neither can be more than there is.
    /// </summary>
    private double BytesPerSecond =>
        _alone && _measured > 0 ? _measured
        : Math.Max(_measured, _wire.BytesPerSecond) is > 0 and var seen ? seen
        : Unknown;

    /// <summary>Since the first round, which takes as long as there is memory and says nothing of how it is written.</summary>
    private TimeSpan Elapsed => _firstEnded is { } ended ? _time.GetElapsedTime(ended) : TimeSpan.Zero;

    private void SetAlone(bool alone)
    {
        if (alone && !_alone)
        {
            (_measured, _wireBytes, _wireSeconds, _firstEnded) = (0, 0, 0, null);
            // What was found so far was written during rounds that took longer: it is as good as a first.
            if (_rounds.Count > 1)
                _rounds.RemoveRange(0, _rounds.Count - 1);
        }
        _alone = alone;
    }

    /// <summary>What the wire took in the last rounds, until the destination had them, without the turns that were waited for: a container that stands still waits for none.</summary>
    /// <returns>0 if it was too little to tell</returns>
    private double Measure(RoundStatistics round)
    {
        (ulong bytes, TimeSpan took) = (round.DataBytes, _took - _waited);
        // A round that mostly compared shared memory says more about that than about the wire.
        if (_shared?.LastRound is { } shared && shared.ChangedBytes * 4 < shared.HeldBytes)
            (bytes, took) = (bytes - shared.ChangedBytes, took - shared.Duration);
        if (bytes < LeastMeasured || took <= _took / 10)
            return 0;
        // By what was sent: 1 MiB that waited for a processor must not take the word of 30 that did not.
        (_wireBytes, _wireSeconds) = (_wireBytes / 2 + bytes, _wireSeconds / 2 + took.TotalSeconds);
        return _wireBytes / _wireSeconds;
    }
}
