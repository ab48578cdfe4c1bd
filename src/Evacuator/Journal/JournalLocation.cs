namespace Evacuator.Journal;

/// <summary>
/// Finds a place where the journal can be written. The disk may be the very reason for leaving: if it is full or read-only, the journal goes to
/// memory, which survives a restart of the service and not one of the host, and that is said loudly.
/// </summary>
internal static class JournalLocation
{
    public const string FileName = "journal.db";

    /// <param name="stateDirectory">on disk, e.g. /var/lib/evacuator</param>
    /// <param name="runtimeDirectory">on tmpfs, e.g. /run/evacuator</param>
    /// <exception cref="JournalException">neither place can be written, or the journal is of a newer version</exception>
    public static JournalStore Open(string stateDirectory, string runtimeDirectory)
    {
        string onDisk = Path.Combine(stateDirectory, FileName);
        string inMemory = Path.Combine(runtimeDirectory, FileName);
        JournalStore store;
        try
        {
            store = JournalStore.Open(onDisk, inMemory);
        }
        catch (JournalException e) when (e.InnerException is not null)
        {
            store = JournalStore.Open(inMemory);
            store.Note(FallbackNotice(e.Message, inMemory));
            return store;
        }

        BringHome(store, inMemory);
        return store;
    }

    internal static string FallbackNotice(string cause, string path) =>
        $"{cause}. The journal is kept in {path} instead: it survives a restart of the service, not of the host. Free or remount the disk, then restart evacuator.";

    /// <summary>What was journaled in memory while the disk could not be written is newer than what the disk has.</summary>
    private static void BringHome(JournalStore store, string inMemory)
    {
        if (!File.Exists(inMemory))
            return;
        using (JournalStore newer = JournalStore.Open(inMemory))
            store.TakeFrom(newer);
        foreach (string suffix in (string[])["", "-wal", "-shm"])
            File.Delete(inMemory + suffix);
    }
}
