using System.Runtime.InteropServices;
using System.Text;

namespace Evacuator.Common.Hosting;

/// <summary>A file that is there whole with its final owner and mode, or not at all.</summary>
public sealed class AtomicFile : IDisposable
{
    private readonly string _path;
    private readonly string _temporary;
    private bool _committed;

    private AtomicFile(string path) => (_path, _temporary) = (path, Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, $".{Path.GetFileName(path)}.new"));

    /// <summary>Writes and commits at once.</summary>
    public static void Write(string path, string text, UnixFileMode mode, uint? uid = null, uint? gid = null)
    {
        using AtomicFile file = Prepare(path, text, mode, uid, gid);
        file.Commit();
    }

    /// <summary>Puts the text on disk beside the path; <see cref="Commit"/> gives it its name, disposing without it takes it away again.</summary>
    public static AtomicFile Prepare(string path, string text, UnixFileMode mode, uint? uid = null, uint? gid = null)
    {
        AtomicFile file = new(path);
        try
        {
            // Left over by a process that was killed here.
            File.Delete(file._temporary);
            FileStreamOptions options = new() { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite };
            using FileStream stream = new(file._temporary, options);
            stream.Write(Encoding.UTF8.GetBytes(text));
            if ((uid is not null || gid is not null) && Interop.ChangeOwner(file._temporary, uid ?? uint.MaxValue, gid ?? uint.MaxValue) != 0)
                throw new IOException($"{path}: cannot change the owner: {Marshal.GetLastPInvokeErrorMessage()}");
            File.SetUnixFileMode(stream.SafeFileHandle, mode);
            stream.Flush(flushToDisk: true);
        }
        catch
        {
            file.Dispose();
            throw;
        }

        return file;
    }

    public void Commit()
    {
        File.Move(_temporary, _path, overwrite: true);
        _committed = true;
    }

    public void Dispose()
    {
        if (!_committed)
            File.Delete(_temporary);
    }
}
