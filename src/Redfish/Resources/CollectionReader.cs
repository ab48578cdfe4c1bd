namespace Evacuator.Redfish.Resources;

/// <summary>How much of a collection is read.</summary>
/// <param name="MaxPages">Pages followed through nextLink, the first included.</param>
/// <param name="MaxMembers">Members taken over all pages.</param>
/// <param name="ReadLinks">Whether members that are mere links are read one by one; otherwise they come back as the links they are.</param>
public sealed record CollectionLimits(int MaxPages = 64, int MaxMembers = 4096, bool ReadLinks = true)
{
    public static CollectionLimits Default { get; } = new();
}

/// <summary>A collection as far as it could be read.</summary>
/// <param name="Outcome">How reading the first page ended.</param>
/// <param name="Members">What was found, in the service's order.</param>
/// <param name="Complete">Whether every page and every member that exists was read. A member that answers 404 or is {} or null does not exist.</param>
/// <param name="Warnings">What was odd, each with its URI.</param>
public sealed record CollectionResult(ReadOutcome Outcome, IReadOnlyList<RedfishResource> Members, bool Complete, IReadOnlyList<string> Warnings)
{
    /// <summary>Members that are listed and answer 404.</summary>
    public IReadOnlyList<string> Missing { get; init; } = [];
}

/// <summary>
/// Reads collections of any number of pages. Expanded members (iDRAC and AMI logs) are used as they are; links are followed one at a time.
/// </summary>
public static class CollectionReader
{
    public static async Task<CollectionResult> ReadAsync(IResourceReader reader, string uri, CollectionLimits? limits, CancellationToken cancel)
    {
        ReadResult first = await reader.ReadAsync(uri, cancel);
        return first.Resource is { } page
            ? await ReadAsync(reader, page, limits, cancel)
            : new CollectionResult(first.Outcome, [], false, [$"{uri}: {first.Message}"]);
    }

    /// <summary>The same, from a first page that was read already.</summary>
    public static async Task<CollectionResult> ReadAsync(IResourceReader reader, RedfishResource firstPage, CollectionLimits? limits, CancellationToken cancel)
    {
        limits ??= CollectionLimits.Default;
        List<RedfishResource> members = [];
        List<string> warnings = [];
        List<string> missing = [];
        HashSet<string> pagesSeen = [RedfishUri.Key(firstPage.Uri)];
        HashSet<string> membersSeen = [];
        bool complete = true;
        RedfishResource page = firstPage;
        for (int pages = 1; ; pages++)
        {
            foreach (RedfishResource member in page.ItemsOrLinks("Members"))
            {
                if (members.Count >= limits.MaxMembers)
                {
                    warnings.Add($"{firstPage.Uri}: more than {limits.MaxMembers} members, the rest was not read");
                    return new CollectionResult(ReadOutcome.Found, members, false, warnings) { Missing = missing };
                }
                if (await TakeAsync(reader, member, limits.ReadLinks, members, membersSeen, cancel) is not { } failed)
                    continue;
                warnings.Add($"{failed.Link}: member not read: {failed.Read.Message}");
                if (failed.Read.Outcome == ReadOutcome.NotFound)
                    missing.Add(failed.Link);
                else
                    complete = false;
            }
            if (NextLink(page) is not { } next)
                break;
            if (!pagesSeen.Add(RedfishUri.Key(next)))
            {
                warnings.Add($"{firstPage.Uri}: its nextLink {next} leads back to a page that was read");
                complete = false;
                break;
            }
            if (pages >= limits.MaxPages)
            {
                warnings.Add($"{firstPage.Uri}: more than {limits.MaxPages} pages, the rest was not read");
                complete = false;
                break;
            }
            ReadResult read = await reader.ReadAsync(next, cancel);
            if (read.Resource is null)
            {
                warnings.Add($"{next}: page not read: {read.Message}");
                complete = false;
                break;
            }
            page = read.Resource;
        }
        return new CollectionResult(ReadOutcome.Found, members, complete, warnings) { Missing = missing };
    }

    private static string? NextLink(RedfishResource page) => page.Link("Members@odata.nextLink") ?? page.Link("@odata.nextLink");

    // Null when the member was taken or is none; else what could not be read, and why.
    private static async Task<(string Link, ReadResult Read)?> TakeAsync(IResourceReader reader, RedfishResource member, bool readLinks, List<RedfishResource> members,
        HashSet<string> seen, CancellationToken cancel)
    {
        bool expanded = IsExpanded(member);
        string? link = member.Link("@odata.id");
        if (link is null && !expanded)
            return null;
        // The key keeps the fragment: inline members of one body differ in nothing else. Two log entries without ids are two entries.
        if (link is not null && !seen.Add(link.TrimEnd('/').ToLowerInvariant()))
            return null;
        if (expanded || !readLinks)
        {
            members.Add(member);
            return null;
        }
        ReadResult read = await reader.ReadAsync(RedfishUri.WithoutFragment(link!), cancel);
        if (read.Resource is not { } found)
            return (link!, read);
        members.Add(found);
        return null;
    }

    /// <summary>Whether a member carries the resource and not merely a link to it: a property that is no annotation.</summary>
    public static bool IsExpanded(RedfishResource member)
    {
        foreach (string name in member.PropertyNames)
            if (!name.Contains('@', StringComparison.Ordinal))
                return true;
        return false;
    }
}
