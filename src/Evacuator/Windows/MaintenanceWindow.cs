namespace Evacuator.Windows;

/// <summary>A time in which this node is emptied by itself, as the journal keeps it.</summary>
internal sealed record MaintenanceWindow
{
    public required string Name { get; init; }

    /// <summary>When it opens, in Quartz' dialect: seconds minutes hours day-of-month month day-of-week [year]; null: once.</summary>
    public string? Cron { get; init; }

    /// <summary>When it opens, if it opens once.</summary>
    public DateTimeOffset? At { get; init; }

    /// <summary>IANA name; what <see cref="Cron"/> and <see cref="Blackouts"/> are read in.</summary>
    public required string TimeZone { get; init; }

    public required TimeSpan Duration { get; init; }

    /// <summary>Days on which it does not open.</summary>
    public IReadOnlyList<DateOnly> Blackouts { get; init; } = [];

    /// <summary>How long after it opened the node has to be empty; null: at its end.</summary>
    public TimeSpan? DrainBy { get; init; }

    public bool PowerOff { get; init; }

    public required string Reason { get; init; }

    public string? Ticket { get; init; }

    public required string AddedBy { get; init; }

    public required DateTimeOffset Added { get; init; }

    /// <summary>The row stays: a journal that came back from memory would bring a deleted one back.</summary>
    public bool Removed { get; init; }
}

/// <summary>One opening of a window.</summary>
/// <param name="Deadline">when the node has to be empty</param>
internal sealed record Occurrence(string Window, DateTimeOffset Start, DateTimeOffset End, DateTimeOffset Deadline);
