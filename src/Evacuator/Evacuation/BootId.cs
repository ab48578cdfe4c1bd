namespace Evacuator.Evacuation;

/// <summary>
/// Tells a restart of the service from a reboot of the host: the kernel's boot id, and a mark on tmpfs. The mark is for hosts whose kernel outlives them
/// (containers that boot systemd): behind ProtectProc= the service sees the kernel's own boot id, not the one its container was given.
/// </summary>
internal sealed class BootId(string value)
{
    private const string MarkName = "boot";

    public string Value => value;

    /// <param name="runtimeDirectory">on tmpfs, kept over restarts of the service</param>
    public static BootId Find(string runtimeDirectory, string kernelPath = "/proc/sys/kernel/random/boot_id")
    {
        string path = Path.Combine(runtimeDirectory, MarkName);
        if (!File.Exists(path))
            Common.Hosting.AtomicFile.Write(path, $"{Guid.NewGuid():D}\n", UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return new BootId($"{File.ReadAllText(kernelPath).Trim()}/{File.ReadAllText(path).Trim()}");
    }
}
