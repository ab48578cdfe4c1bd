using Evacuator.Windows;

namespace Evacuator.Journal;

internal sealed partial class JournalStore
{
    /// <exception cref="JournalException">not written</exception>
    public void Write(MaintenanceWindow window) => Written(() => Execute(_connection, "INSERT INTO windows VALUES ($id, $body) ON CONFLICT(id) DO UPDATE SET body = $body",
        ("$id", window.Name), ("$body", Serialize(window))));

    /// <summary>Also those that have been removed.</summary>
    public IReadOnlyList<MaintenanceWindow> Windows() => Guarded(() => Rows<MaintenanceWindow>("SELECT body FROM windows ORDER BY id"));
}
