using Evacuator.NodeAgent.Files;

namespace Evacuator.NodeAgent.Tests.Files;

public sealed class TreeSnapshotTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("evacuator-test-").FullName;

    public TreeSnapshotTests()
    {
        Directory.CreateDirectory(Path.Combine(_root, "etc"));
        File.WriteAllText(Path.Combine(_root, "etc", "a"), "1");
        File.CreateSymbolicLink(Path.Combine(_root, "outside"), "/proc");
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Tree_Untouched_IsTheSame() => Assert.True(TreeSnapshot.Take(_root).IsSame(TreeSnapshot.Take(_root), Later));

    [Fact]
    public void Tree_WrittenJustBeforeTheSnapshot_CountsAsChanged() =>
        Assert.False(TreeSnapshot.Take(_root).IsSame(TreeSnapshot.Take(_root), DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0 - 60));

    [Theory]
    [InlineData("write")]
    [InlineData("rewrite")]
    [InlineData("make")]
    [InlineData("remove")]
    [InlineData("rename")]
    [InlineData("mode")]
    public void Tree_AnyChange_IsSeen(string change)
    {
        TreeSnapshot before = TreeSnapshot.Take(_root);
        string file = Path.Combine(_root, "etc", "a");
        switch (change)
        {
            case "write": File.AppendAllText(file, "2"); break;
            case "rewrite":
                // Same size, and the time of modification put back: the change time tells.
                DateTime time = File.GetLastWriteTimeUtc(file);
                File.WriteAllText(file, "2");
                File.SetLastWriteTimeUtc(file, time);
                break;
            case "make": File.WriteAllText(Path.Combine(_root, "etc", "b"), ""); break;
            case "remove": File.Delete(file); break;
            case "rename": File.Move(file, file + "2"); break;
            case "mode": File.SetUnixFileMode(file, UnixFileMode.UserRead); break;
        }

        Assert.False(TreeSnapshot.Take(_root).IsSame(before, Later));
    }

    [Theory]
    [InlineData("7f0c5a000000-7f0c5a021000 rw-s 00000000 fe:00 1312                       /var/lib/c/my data", "/var/lib/c/my data")]
    [InlineData("7f0c5a000000-7f0c5a021000 r--s 00000000 fe:00 1312                       /usr/share/x", null)]
    [InlineData("7f0c5a000000-7f0c5a021000 rw-p 00000000 fe:00 1312                       /usr/lib/libc.so", null)]
    [InlineData("7f0c5a000000-7f0c5a021000 rw-s 00000000 00:01 2050                       /memfd:x (deleted)", null)]
    [InlineData("7f0c5a000000-7f0c5a021000 rw-s 00000000 00:01 2050                       /dev/zero (deleted)", null)]
    [InlineData("7f0c5a000000-7f0c5a021000 rw-p 00000000 00:00 0 ", null)]
    [InlineData("", null)]
    public void Mapping_OfAFileSharedAndWritable_IsFound(string line, string? path)
    {
        Assert.Equal(path is not null, SharedMappings.TryParse(line, out string? found));
        Assert.Equal(path, found);
    }

    // After everything in the test's folder: the guard against two writes in one tick is tested on its own.
    private static double Later => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0 + 3600;
}
