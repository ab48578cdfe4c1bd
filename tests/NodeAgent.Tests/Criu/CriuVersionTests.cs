using Evacuator.NodeAgent.Criu;

namespace Evacuator.NodeAgent.Tests.Criu;

public class CriuVersionTests
{
    [Theory]
    [InlineData("Version: 4.2.1\nGitID: v4.2.1\n", "4.2.1")]
    [InlineData("Version: 4.1\n", "4.1")]
    [InlineData("Version: 4.2-dirty\n", "4.2")]
    [InlineData("Version: 5\n", "5.0")]
    public void Version_AsCriuPrintsIt_IsRead(string output, string version)
    {
        Assert.True(CriuVersion.TryParse(output, out Version? read));
        Assert.Equal(Version.Parse(version), read);
    }

    [Theory]
    [InlineData("")]
    [InlineData("criu: not found")]
    [InlineData("Version: x")]
    public void Version_SomethingElse_IsNone(string output) => Assert.False(CriuVersion.TryParse(output, out _));
}
