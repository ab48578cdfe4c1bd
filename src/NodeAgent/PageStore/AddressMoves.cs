namespace Evacuator.NodeAgent.PageStore;

/// <summary>
/// Where the pages of the store are wanted by now. A process may move memory (mremap) before it has been filled: the store keeps the addresses
/// at which the pages arrived, and this translates. Without moves both are the same. Not safe for several threads.
/// </summary>
internal sealed class AddressMoves
{
    private readonly List<Piece> _pieces = [];

    public IReadOnlyList<Piece> Pieces => _pieces;

    /// <summary>Where the process wants a page of the store.</summary>
    public ulong ToProcess(ulong stored)
    {
        foreach (Piece piece in _pieces)
            if (stored - piece.Stored < piece.Length)
                return piece.Wanted + (stored - piece.Stored);
        return stored;
    }

    /// <summary>Which page of the store the process means; null if none is wanted there.</summary>
    public ulong? ToStore(ulong wanted)
    {
        bool movedAway = false;
        foreach (Piece piece in _pieces)
        {
            if (wanted - piece.Wanted < piece.Length)
                return piece.Stored + (wanted - piece.Wanted);
            movedAway |= wanted - piece.Stored < piece.Length;
        }
        return movedAway ? null : wanted;
    }

    /// <summary>How far the translation stays the same from a process's address on, at most <paramref name="length"/>.</summary>
    public ulong Uniform(ulong wanted, ulong length)
    {
        foreach (Piece piece in _pieces)
        {
            Limit(piece.Wanted, piece.Length);
            Limit(piece.Stored, piece.Length);
        }
        return length;

        void Limit(ulong start, ulong size)
        {
            if (wanted - start < size)
                length = Math.Min(length, size - (wanted - start));
            else if (start > wanted)
                length = Math.Min(length, start - wanted);
        }
    }

    /// <summary>The process has moved [from, from + length) to <paramref name="to"/>.</summary>
    public void Move(ulong from, ulong to, ulong length)
    {
        List<Piece> moved = [];
        for (ulong at = from; at < from + length;)
        {
            ulong step = Uniform(at, from + length - at);
            if (ToStore(at) is { } stored)
                moved.Add(new Piece(stored, step, to + (at - from)));
            at += step;
        }
        // What was at the target has been unmapped, with an event of its own: those pages are owed no more.
        RemoveWanted(to, length);
        foreach (Piece piece in moved)
        {
            RemoveStored(piece.Stored, piece.Length);
            if (piece.Stored != piece.Wanted)
                _pieces.Add(piece);
        }
    }

    public void Restore(IEnumerable<Piece> pieces) => _pieces.AddRange(pieces);

    public AddressMoves Clone()
    {
        AddressMoves copy = new();
        copy.Restore(_pieces);
        return copy;
    }

    private void RemoveWanted(ulong start, ulong length)
    {
        for (int i = _pieces.Count - 1; i >= 0; i--)
        {
            Piece piece = _pieces[i];
            ulong from = Math.Max(piece.Wanted, start), until = Math.Min(piece.Wanted + piece.Length, start + length);
            if (from >= until)
                continue;
            _pieces.RemoveAt(i);
            if (piece.Wanted < from)
                _pieces.Add(piece with { Length = from - piece.Wanted });
            if (until < piece.Wanted + piece.Length)
                _pieces.Add(new Piece(piece.Stored + (until - piece.Wanted), piece.Wanted + piece.Length - until, until));
        }
    }

    private void RemoveStored(ulong start, ulong length)
    {
        for (int i = _pieces.Count - 1; i >= 0; i--)
        {
            Piece piece = _pieces[i];
            ulong from = Math.Max(piece.Stored, start), until = Math.Min(piece.Stored + piece.Length, start + length);
            if (from >= until)
                continue;
            _pieces.RemoveAt(i);
            if (piece.Stored < from)
                _pieces.Add(piece with { Length = from - piece.Stored });
            if (until < piece.Stored + piece.Length)
                _pieces.Add(new Piece(until, piece.Stored + piece.Length - until, piece.Wanted + (until - piece.Stored)));
        }
    }

    /// <summary>Pages stored under one address and wanted at another; bytes.</summary>
    internal readonly record struct Piece(ulong Stored, ulong Length, ulong Wanted);
}
