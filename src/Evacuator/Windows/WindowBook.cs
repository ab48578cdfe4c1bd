using Evacuator.Journal;

namespace Evacuator.Windows;

/// <summary>The windows of this node, in its journal: they survive a reboot.</summary>
internal sealed class WindowBook(JournalStore journal, TimeProvider time)
{
    private const int Most = 1000;
    private readonly Lock _lock = new();

    public IReadOnlyList<MaintenanceWindow> All => [.. journal.Windows().Where(window => !window.Removed)];

    /// <summary>All that is wrong with it, as it stands or because of those that are there; both null when it was added. The same one again is no mistake.</summary>
    public (string? Mistake, string? Conflict) Add(MaintenanceWindow window)
    {
        IReadOnlyList<string> mistakes = WindowSchedule.Mistakes(window, time.GetUtcNow());
        if (mistakes.Count > 0)
            return (string.Join("; ", mistakes), null);
        lock (_lock)
        {
            IReadOnlyList<MaintenanceWindow> all = All;
            if (all.FirstOrDefault(other => other.Name == window.Name) is { } present)
                return (null, Same(present, window) ? null : $"there is a window {window.Name} already: remove it first, or take another name");
            if (all.Count >= Most)
                return (null, $"there are {Most} windows already");
            journal.Write(window);
            return (null, null);
        }
    }

    /// <summary>False if there is none of this name.</summary>
    public bool Remove(string name)
    {
        lock (_lock)
        {
            if (All.FirstOrDefault(window => window.Name == name) is not { } window)
                return false;
            journal.Write(window with { Removed = true });
            return true;
        }
    }

    /// <summary>The next openings of all windows, in their order; those that are going on come first.</summary>
    public IReadOnlyList<Occurrence> Upcoming(int count)
    {
        DateTimeOffset now = time.GetUtcNow();
        List<Occurrence> found = [];
        foreach (MaintenanceWindow window in All)
        {
            if (WindowSchedule.Current(window, now) is { } current)
                found.Add(current);
            DateTimeOffset after = now;
            for (int i = 0; i < count && WindowSchedule.Next(window, after) is { } next; i++)
            {
                found.Add(next);
                after = next.Start;
            }
        }

        return [.. found.OrderBy(occurrence => occurrence.Start).ThenBy(occurrence => occurrence.Window, StringComparer.Ordinal).Take(count)];
    }

    private static bool Same(MaintenanceWindow one, MaintenanceWindow other) =>
        one with { Added = other.Added, AddedBy = other.AddedBy, Blackouts = other.Blackouts } == other && one.Blackouts.SequenceEqual(other.Blackouts);
}
