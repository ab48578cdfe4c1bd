namespace Evacuator.NodeAgent.Host;

/// <summary>What a file system has left for us.</summary>
internal static class FreeSpace
{
    /// <summary>Bytes where the directory is, or will be once it is made; 0 if that cannot be told.</summary>
    public static long At(string directory)
    {
        // The directory may not exist before the first container: then its nearest parent says what there is.
        string? existing = directory;
        while (!string.IsNullOrEmpty(existing) && !Directory.Exists(existing))
            existing = Path.GetDirectoryName(existing);
        try
        {
            return new DriveInfo(string.IsNullOrEmpty(existing) ? "/" : existing).AvailableFreeSpace;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }
}
