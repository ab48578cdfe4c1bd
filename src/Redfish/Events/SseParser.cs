using System.Text;

namespace Evacuator.Redfish.Events;

/// <summary>One event of a stream.</summary>
/// <param name="Id">The id line; null when there was none.</param>
/// <param name="Data">All data lines, joined with newlines; cut when <paramref name="TooLarge"/>.</param>
/// <param name="TooLarge">The event was larger than the limit; only its beginning is there.</param>
internal sealed record SseEvent(string? Id, byte[] Data, bool TooLarge);

/// <summary>
/// Takes a text/event-stream apart as its bytes arrive. Lines end in \n, \r\n or \r; "data: x" lines collect until an empty line; ":" begins a comment.
/// </summary>
/// <remarks>Sample, as bmcweb sends it: <c>id: 7\ndata: {\ndata:  "Events": [ … ]\ndata: }\n\n</c></remarks>
internal sealed class SseParser(int maxEventBytes)
{
    private readonly MemoryStream _line = new();
    private readonly MemoryStream _data = new();
    private string? _id;
    private bool _hasData;
    private bool _tooLarge;
    private bool _lineTooLong;
    private bool _lastWasReturn;
    private bool _first = true;

    /// <summary>Takes bytes; adds the events they complete to <paramref name="events"/>.</summary>
    public void Push(ReadOnlySpan<byte> bytes, List<SseEvent> events)
    {
        foreach (byte each in bytes)
        {
            if (each == '\n' && _lastWasReturn)
            {
                _lastWasReturn = false;
                continue;
            }
            _lastWasReturn = each == '\r';
            if (each is (byte)'\n' or (byte)'\r')
                EndLine(events);
            else if (_line.Length < maxEventBytes)
                _line.WriteByte(each);
            else
                _lineTooLong = true;
        }
    }

    private void EndLine(List<SseEvent> events)
    {
        ReadOnlySpan<byte> line = _line.GetBuffer().AsSpan(0, (int)_line.Length);
        if (_first && line.StartsWith(Encoding.UTF8.Preamble))
            line = line[Encoding.UTF8.Preamble.Length..];
        _first = false;
        bool cut = _lineTooLong;
        _lineTooLong = false;
        if (line.IsEmpty)
            EndEvent(events);
        else if (line[0] != ':')
            Field(line, cut);
        _line.SetLength(0);
    }

    private void Field(ReadOnlySpan<byte> line, bool cut)
    {
        int colon = line.IndexOf((byte)':');
        ReadOnlySpan<byte> name = colon < 0 ? line : line[..colon];
        ReadOnlySpan<byte> value = colon < 0 ? [] : line[(colon + 1)..];
        if (value.Length > 0 && value[0] == ' ')
            value = value[1..];
        if (name.SequenceEqual("data"u8))
        {
            if (_hasData)
                _data.WriteByte((byte)'\n');
            _hasData = true;
            int room = (int)Math.Max(0, maxEventBytes - _data.Length);
            _tooLarge |= cut || value.Length > room;
            _data.Write(value[..Math.Min(value.Length, room)]);
        }
        else if (name.SequenceEqual("id"u8) && value.Length < 256)
        {
            _id = Encoding.UTF8.GetString(value);
        }
    }

    private void EndEvent(List<SseEvent> events)
    {
        if (_hasData)
            events.Add(new SseEvent(_id, _data.ToArray(), _tooLarge));
        _data.SetLength(0);
        _id = null;
        _hasData = false;
        _tooLarge = false;
    }
}
