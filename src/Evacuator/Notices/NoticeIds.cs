namespace Evacuator.Notices;

/// <summary>
/// MESSAGE_ID of each kind in the system's journal (systemd.journal-fields(7)), for "journalctl MESSAGE_ID=…" and for whoever watches the journal. Never
/// changed once released.
/// </summary>
internal static class NoticeIds
{
    public static string Of(NoticeKind kind) => kind switch
    {
        NoticeKind.Started => "2f0d7a5e3c4b4a5fb1f0c8a1d94e6b01",
        NoticeKind.Blocked => "2f0d7a5e3c4b4a5fb1f0c8a1d94e6b02",
        NoticeKind.Failed => "2f0d7a5e3c4b4a5fb1f0c8a1d94e6b03",
        NoticeKind.Done => "2f0d7a5e3c4b4a5fb1f0c8a1d94e6b04",
        NoticeKind.SafeToPull => "2f0d7a5e3c4b4a5fb1f0c8a1d94e6b05",
        NoticeKind.BackHome => "2f0d7a5e3c4b4a5fb1f0c8a1d94e6b06",
        NoticeKind.NeedsPerson => "2f0d7a5e3c4b4a5fb1f0c8a1d94e6b07",
        NoticeKind.Cancelled => "2f0d7a5e3c4b4a5fb1f0c8a1d94e6b08",
        NoticeKind.Window => "2f0d7a5e3c4b4a5fb1f0c8a1d94e6b09",
        NoticeKind.Test => "2f0d7a5e3c4b4a5fb1f0c8a1d94e6b0a",
        NoticeKind.CannotMove => "2f0d7a5e3c4b4a5fb1f0c8a1d94e6b0b",
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
    };

    /// <summary>Of syslog: 5 notice, 4 warning, 2 critical.</summary>
    public static int Priority(NoticeKind kind) => kind switch
    {
        NoticeKind.NeedsPerson => 2,
        NoticeKind.Blocked or NoticeKind.Failed or NoticeKind.Window or NoticeKind.CannotMove => 4,
        _ => 5,
    };
}
