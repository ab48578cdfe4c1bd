using System.Security.Cryptography;
using System.Text;
using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Events;

/// <summary>
/// Remembers which entries of one log were seen, by a hash of what they say and not by their number: numbers restart when a log is cleared or wraps around.
/// Holds no text; bounded.
/// </summary>
internal sealed class LogBookmark
{
    private const int Remembered = 4096;

    private readonly HashSet<ulong> _known = [];
    private readonly Queue<ulong> _order = new();

    public bool IsEmpty => _known.Count == 0;

    /// <summary>Notes an entry. True when it is new or has changed (HPE updates count and state of an entry in place).</summary>
    public bool Add(RedfishResource entry)
    {
        ulong identity = Identity(entry);
        if (!_known.Add(identity))
            return false;
        _order.Enqueue(identity);
        if (_order.Count > Remembered)
            _known.Remove(_order.Dequeue());
        return true;
    }

    public bool Knows(RedfishResource entry) => _known.Contains(Identity(entry));

    /// <summary>Forgets everything: the log was cleared, so equal entries are new ones.</summary>
    public void Clear()
    {
        _known.Clear();
        _order.Clear();
    }

    private static ulong Identity(RedfishResource entry)
    {
        string text = string.Join('\n', (ReadOnlySpan<string?>)[
            CollectionReader.IsExpanded(entry) ? "" : RedfishUri.Key(entry.Uri),
            entry.Id, entry.Text("Created"), entry.Text("EventTimestamp"), entry.Text("MessageId"), entry.Text("Message"), entry.Text("Severity"),
            entry.Text("Resolved"), entry.Text("Oem", "Hpe", "Count"), entry.Text("Oem", "Hpe", "Updated"), entry.Text("Oem", "Hpe", "Repaired")]);
        return BitConverter.ToUInt64(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
    }
}
