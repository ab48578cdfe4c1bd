using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Package;

/// <summary>The package's whole life on a node of its own: packaging/deb/test.sh says what it checks.</summary>
public sealed class PackageTests
{
    private readonly LabCommand _lab = new("selfpackage");

    [LabFact]
    public async Task Package_InstallToPurge_EveryCheckHoldsAndNoContainerNotices()
    {
        string packaging = Path.Combine(Prerequisites.ProjectRoot, "packaging", "deb");
        try
        {
            _ = (await _lab.RunAsync("up", "1", "--bare")).Text;
            _ = (await _lab.RunAsync("copy", Newest(), "node1:/root/evacuator.deb")).Text;
            _ = (await _lab.RunAsync("copy", Path.Combine(packaging, "test.sh"), "node1:/root/test.sh")).Text;

            string report = (await _lab.RunAsync("exec", "node1", "--", "bash", "/root/test.sh", "/root/evacuator.deb")).Text;

            Assert.EndsWith(" checks, 0 failed", report, StringComparison.Ordinal);
        }
        finally
        {
            await _lab.RunAsync("down");
        }
    }

    /// <summary>test.sh builds it before the tests; by hand: packaging/deb/build.sh.</summary>
    private static string Newest()
    {
        DirectoryInfo artifacts = new(Path.Combine(Prerequisites.ProjectRoot, "artifacts"));
        FileInfo? package = artifacts.Exists ? artifacts.EnumerateFiles("evacuator_*_amd64.deb").MaxBy(file => file.LastWriteTimeUtc) : null;
        Assert.True(package is not null, "there is no package: run packaging/deb/build.sh");
        return package.FullName;
    }
}
