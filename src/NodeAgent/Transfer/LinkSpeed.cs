namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// What the wire takes of this host, as seen while there was more to send than it took: only then does what got through say what could. A pure function of what it is told.
/// </summary>
internal sealed class LinkSpeed
{
    /// <summary>Long enough that the burst that a shaper lets pass, and what a switch buffers, do not matter.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromMilliseconds(500);

    /// <summary>A destination that gives way to a freeze of its own reads nothing meanwhile: half of them may be of such a time.</summary>
    private const int Remembered = 9;

    private readonly Queue<double> _windows = new();
    private bool _wasFull;

    /// <summary>Bytes per second: the middle of the last windows; 0 before the first.</summary>
    public double BytesPerSecond { get; private set; }

    /// <summary>After each window.</summary>
    /// <param name="taken">bytes that the peers acknowledged in it</param>
    /// <param name="length">how long it was</param>
    /// <param name="isFull">more was waiting at its end</param>
    public void Add(ulong taken, TimeSpan length, bool isFull)
    {
        bool throughout = isFull && _wasFull;
        _wasFull = isFull;
        if (!throughout || length < Window / 2)
            return;
        _windows.Enqueue(taken / length.TotalSeconds);
        if (_windows.Count > Remembered)
            _windows.Dequeue();
        BytesPerSecond = _windows.Order().ElementAt(_windows.Count / 2);
    }
}
