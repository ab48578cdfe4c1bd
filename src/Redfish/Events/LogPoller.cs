using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Events;

/// <summary>What one look at a log brought.</summary>
/// <param name="Read">Whether the log could be read at all.</param>
/// <param name="New">Entries that were not there before, oldest first.</param>
/// <param name="Lost">There were more than were taken, or the log was cleared in between: only a full read tells what happened.</param>
/// <param name="Message">Why it could not be read, or what was lost.</param>
internal sealed record LogLook(bool Read, IReadOnlyList<RedfishResource> New, bool Lost, string Message);

/// <summary>
/// Looks at one log again and again and finds what is new. The first look is the baseline: a log is history, and what is wrong now stands in the resources.
/// Costs one request per look as long as little happens: logs with the newest entry first are read until a known one, others from the page that was last before.
/// </summary>
internal sealed class LogPoller(IResourceReader reader, string entriesUri)
{
    private const int MaxNew = 64;
    private const int MaxPages = 64;
    private const int MaxLinksRead = 16;

    private readonly LogBookmark _known = new();
    private bool _primed;
    private string? _tail;
    private double? _count;

    public string EntriesUri => entriesUri;

    public async Task<LogLook> LookAsync(CancellationToken cancel)
    {
        // 1. The page to begin with: the last one of before, as long as it still answers.
        string first = _tail ?? entriesUri;
        ReadResult read = await reader.ReadAsync(first, cancel).ConfigureAwait(false);
        if (read.Resource is null && _tail is not null)
        {
            _tail = null;
            first = entriesUri;
            read = await reader.ReadAsync(first, cancel).ConfigureAwait(false);
        }
        if (read.Resource is not { } page)
            return new LogLook(false, [], false, $"{entriesUri}: {read.Message}");

        // 2. Fewer entries than before means cleared: what is there now came after that, whatever its number.
        double? count = page.Number("Members@odata.count");
        bool cleared = _primed && count < _count;
        _count = count;
        if (cleared)
        {
            _known.Clear();
            if (_tail is not null)
            {
                _tail = null;
                first = entriesUri;
                read = await reader.ReadAsync(first, cancel).ConfigureAwait(false);
                if (read.Resource is null)
                    return new LogLook(false, [], true, $"{entriesUri}: {read.Message}");
                page = read.Resource;
                _count = page.Number("Members@odata.count");
            }
        }

        // 3. Page by page, to the end or to what is known.
        List<RedfishResource> found = [];
        HashSet<string> pages = [first];
        bool newestFirst = IsNewestFirst(page);
        bool whole = true, missed = false;
        while (true)
        {
            bool metKnown = false;
            foreach (RedfishResource entry in page.Items("Members"))
            {
                bool known = _known.Knows(entry);
                metKnown |= known;
                if (!known)
                    found.Add(entry);
            }
            string? next = page.Link("Members@odata.nextLink") ?? page.Link("@odata.nextLink");
            if (next is null || (newestFirst && metKnown))
                break;
            // A log with the newest first was read as far as matters; the rest of the baseline is old.
            if (!pages.Add(next) || pages.Count > (newestFirst ? 2 : MaxPages))
            {
                whole = newestFirst;
                missed = _primed;
                break;
            }
            read = await reader.ReadAsync(next, cancel).ConfigureAwait(false);
            if (read.Resource is null)
            {
                whole = false;
                break;
            }
            page = read.Resource;
            if (newestFirst)
                continue;
            // The next look begins here, so it is this page's count that it compares: pages of one log may disagree.
            _tail = next;
            _count = page.Number("Members@odata.count");
        }

        // 4. The baseline tells nothing.
        foreach (RedfishResource entry in found)
            _known.Add(entry);
        bool baseline = !_primed;
        _primed = true;
        if (baseline)
            return new LogLook(true, [], false, whole ? "" : $"{entriesUri} was not read to its end");
        if (newestFirst)
            found.Reverse();
        bool tooMany = found.Count > MaxNew;
        List<RedfishResource> entries = await ExpandAsync(tooMany ? found[^MaxNew..] : found, cancel).ConfigureAwait(false);
        string message = cleared ? $"{entriesUri} was cleared" : tooMany ? $"{entriesUri} has {found.Count} new entries" : "";
        return new LogLook(true, entries, cleared || tooMany || missed, message.Length == 0 && missed ? $"{entriesUri} has more new entries than were read" : message);
    }

    // Some services list links only; a bare link is still worth an event, so one that cannot be read stays as it is.
    private async Task<List<RedfishResource>> ExpandAsync(List<RedfishResource> entries, CancellationToken cancel)
    {
        List<RedfishResource> expanded = [];
        int reads = 0;
        foreach (RedfishResource entry in entries)
        {
            if (!CollectionReader.IsExpanded(entry) && reads++ < MaxLinksRead)
                expanded.Add((await reader.ReadAsync(RedfishUri.WithoutFragment(entry.Uri), cancel).ConfigureAwait(false)).Resource ?? entry);
            else
                expanded.Add(entry);
        }
        return expanded;
    }

    private static bool IsNewestFirst(RedfishResource page)
    {
        IReadOnlyList<RedfishResource> members = page.Items("Members");
        if (members.Count < 2)
            return false;
        RedfishResource first = members[0], last = members[^1];
        if (EventTime.Parse(first.Text("Created")) is { } a && EventTime.Parse(last.Text("Created")) is { } b && a != b)
            return a > b;
        // Links only: numbers in the URI, if they are numbers.
        return long.TryParse(RedfishUri.LastSegment(first.Uri), out long x) && long.TryParse(RedfishUri.LastSegment(last.Uri), out long y) && x > y;
    }
}
