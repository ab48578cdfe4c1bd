namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// Whether the next batch of one connection is compressed: only where that gets it there sooner, by what compressing and sending have taken lately. Now and then one is compressed to learn how
/// well that works on what is sent now.
/// </summary>
/// <remarks>LZ4 takes 1.5 to 3 ms a MiB, which a wire of 1 Gbit/s needs 8 for and one of 10 Gbit/s 0.8. Of one thread.</remarks>
internal sealed class CompressionChoice(bool allowed)
{
    /// <summary>Less is not worth the processor, which the containers have, too.</summary>
    private const double LeastGain = 0.2;

    /// <summary>Batches between two that are compressed to learn: 3 % of what a processor would otherwise send.</summary>
    private const int LearnEvery = 32;

    /// <summary>What the past counts for at each batch. A socket's buffer takes some at once and then makes wait: only sums over many say what the wire takes.</summary>
    private const double Kept = 0.9;

    private double _wireBytes, _wireSeconds, _rawBytes, _packedBytes, _packingSeconds;
    private int _since;

    public bool Next()
    {
        if (!allowed)
            return false;
        if (_rawBytes == 0 || ++_since >= LearnEvery)
        {
            _since = 0;
            return true;
        }
        return Pays;
    }

    /// <summary>Seconds a byte: plain against compressed.</summary>
    public bool Pays
    {
        get
        {
            if (_rawBytes == 0 || _wireBytes == 0)
                return false;
            double wire = _wireSeconds / _wireBytes, packing = _packingSeconds / _rawBytes, ratio = _packedBytes / _rawBytes;
            return packing + ratio * wire < (1 - LeastGain) * wire;
        }
    }

    /// <param name="bytes">of data</param>
    /// <param name="packed">what they were compressed to</param>
    public void Compressed(int bytes, int packed, TimeSpan took)
    {
        _rawBytes = Kept * _rawBytes + bytes;
        _packedBytes = Kept * _packedBytes + packed;
        _packingSeconds = Kept * _packingSeconds + took.TotalSeconds;
    }

    /// <param name="bytes">put on the wire</param>
    public void Sent(int bytes, TimeSpan took)
    {
        _wireBytes = Kept * _wireBytes + bytes;
        _wireSeconds = Kept * _wireSeconds + took.TotalSeconds;
    }
}
