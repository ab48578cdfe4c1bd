using Evacuator.NodeAgent.Files;

namespace Evacuator.NodeAgent.Tests.Files;

public sealed class TreePlaceTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("evacuator-test-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [InlineData("/srv")]
    [InlineData("/")]
    [InlineData("srv/c1")]
    [InlineData("/srv/../etc/cron.d")]
    [InlineData("/etc/cron.d")]
    [InlineData("/usr/local/c1")]
    [InlineData("/proc/self")]
    [InlineData("/srv/c1\n[tree1]\npath = /")]
    public void Path_OfTheHostOrNotPlain_IsRefused(string path) => Assert.NotNull(TreePlace.WhyRefused(path));

    [Theory]
    [InlineData("/srv/containers/c1")]
    [InlineData("/var/lib/containers/c1")]
    [InlineData("/data/c1")]
    public void Path_OfAContainer_IsTaken(string path) => Assert.Null(TreePlace.WhyRefused(path));

    [Fact]
    public void Tree_MovedAwayAndBack_KeepsItsFilesForTheDifference()
    {
        string tree = Path.Combine(_root, "c1");
        Directory.CreateDirectory(tree);
        File.WriteAllText(Path.Combine(tree, "config.json"), "{}");

        TreePlace.PutAside(tree);
        Assert.False(Directory.Exists(tree));
        TreePlace.PutAside(tree);
        Assert.True(File.Exists(Path.Combine(TreePlace.SetAside(tree), "config.json")));

        TreePlace.Prepare(tree);
        Assert.True(File.Exists(Path.Combine(tree, "config.json")));
        Assert.False(Directory.Exists(TreePlace.SetAside(tree)));
    }

    [Fact]
    public void Tree_LinkInItsPlace_IsNotFollowed()
    {
        string elsewhere = Directory.CreateDirectory(Path.Combine(_root, "elsewhere")).FullName, tree = Path.Combine(_root, "c1");
        File.WriteAllText(Path.Combine(elsewhere, "precious"), "");
        Directory.CreateSymbolicLink(tree, elsewhere);
        TreePlace.PutAside(tree);
        Assert.False(Path.Exists(TreePlace.SetAside(tree)));

        File.Delete(tree);
        Directory.CreateDirectory(tree);
        Directory.CreateSymbolicLink(TreePlace.SetAside(tree), elsewhere);
        TreePlace.PutAside(tree);

        Assert.Null(new DirectoryInfo(TreePlace.SetAside(tree)).LinkTarget);
        Assert.False(Path.Exists(tree));
        Assert.True(File.Exists(Path.Combine(elsewhere, "precious")));
    }

    [Fact]
    public void Tree_LinkAboveIt_IsRefused()
    {
        string elsewhere = Directory.CreateDirectory(Path.Combine(_root, "elsewhere", "c1")).FullName, link = Path.Combine(_root, "link");
        Directory.CreateSymbolicLink(link, Path.Combine(_root, "elsewhere"));

        Assert.Throws<IOException>(() => TreePlace.PutAside(Path.Combine(link, "c1")));
        Assert.Throws<IOException>(() => TreePlace.Prepare(Path.Combine(link, "c2")));

        Assert.True(Directory.Exists(elsewhere));
        Assert.False(Directory.Exists(Path.Combine(_root, "elsewhere", "c2")));
    }

    [Fact]
    public void Tree_PutAsideTwice_KeepsTheNewer()
    {
        string tree = Path.Combine(_root, "c1");
        foreach (string content in (string[])["old", "new"])
        {
            Directory.CreateDirectory(tree);
            File.WriteAllText(Path.Combine(tree, "f"), content);
            TreePlace.PutAside(tree);
        }

        Assert.Equal("new", File.ReadAllText(Path.Combine(TreePlace.SetAside(tree), "f")));
    }
}
