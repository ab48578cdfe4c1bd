using System.Diagnostics;

namespace Evacuator.Testing;

/// <summary>A disk of its own: an ext4 of a few MiB in a file, that can be filled, and made read-only as the kernel does it when the hardware below fails. Needs root.</summary>
public sealed class SmallDisk : IDisposable
{
    private readonly string _image;

    /// <param name="path">where it is mounted; made if it is not there</param>
    public SmallDisk(string path)
    {
        Path = Directory.CreateDirectory(path).FullName;
        _image = path + ".img";
        using (FileStream file = File.Create(_image))
            file.SetLength(8 << 20);
        Run("mkfs.ext4", "-q", "-F", _image);
        Mount();
    }

    public string Path { get; }

    private string Ballast => System.IO.Path.Combine(Path, "ballast");

    /// <summary>Not a byte more can be written.</summary>
    public void Fill()
    {
        using FileStream file = new(Ballast, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        byte[] block = new byte[1024];
        try
        {
            while (true)
                file.Write(block);
        }
        catch (IOException)
        {
            // Full.
        }
    }

    /// <summary>ext4's own test of what errors=remount-ro does: files that are open for writing cannot be written any more either, and all can be read.</summary>
    public void MakeReadOnly() => Run("mount", "-o", "remount,abort", Path);

    /// <summary>As after a repair. Nothing may be open.</summary>
    public void Repair()
    {
        Run("umount", Path);
        Mount();
        File.Delete(Ballast);
    }

    public void Dispose()
    {
        Run("umount", "-l", Path);
        File.Delete(_image);
    }

    private void Mount() => Run("mount", "-o", "loop,errors=remount-ro", _image, Path);

    private static void Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{program} {string.Join(' ', arguments)}: {error}");
    }
}
