using Evacuator.Common.Configuration;
using Evacuator.Testing;

namespace Evacuator.Common.Tests.Configuration;

public sealed class SecretsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void BmcPassword_NoBmc_IsNotAskedFor() => Assert.Equal("", Secrets.BmcPassword(new EvacuatorOptions(), null).Value);

    [Fact]
    public void BmcPassword_Credential_IsReadWithoutItsLineEnd()
    {
        File.WriteAllText(Path.Combine(_folder.Path, "evacuator.bmc-password"), " geheim wort \n");

        Assert.Equal(" geheim wort ", Secrets.BmcPassword(WithBmc(""), _folder.Path).Value);
    }

    [Fact]
    public void BmcPassword_NoCredential_SaysWhereToPutIt()
    {
        string text = Assert.Single(Secrets.BmcPassword(WithBmc(""), _folder.Path).Mistakes).Text;

        Assert.Contains("/etc/credstore/evacuator.bmc-password", text, StringComparison.Ordinal);
        Assert.Contains("/etc/credstore/evacuator.bmc-password", Assert.Single(Secrets.BmcPassword(WithBmc(""), null).Mistakes).File, StringComparison.Ordinal);
    }

    [Fact]
    public void BmcPassword_FileThatOthersRead_IsRefused()
    {
        string path = Secret("geheim", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead);

        Assert.Contains("others may read", Assert.Single(Secrets.BmcPassword(WithBmc(path), null).Mistakes).ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("geheim\n", null)]
    [InlineData("", "is empty")]
    [InlineData("\n", "is empty")]
    [InlineData("user\npassword\n", "more than one line")]
    public void BmcPassword_File_IsOneLine(string text, string? mistake)
    {
        string path = Secret(text, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);

        Checked<string> password = Secrets.BmcPassword(WithBmc(path), null);

        if (mistake is null)
            Assert.Equal("geheim", password.Value);
        else
            Assert.Contains(mistake, Assert.Single(password.Mistakes).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void BmcPassword_MissingFile_IsAMistake() =>
        Assert.Contains("does not exist", Assert.Single(Secrets.BmcPassword(WithBmc(Path.Combine(_folder.Path, "none")), null).Mistakes).Text, StringComparison.Ordinal);

    private static EvacuatorOptions WithBmc(string passwordFile) => new() { Bmc = new BmcSettings { Url = "https://b", User = "u", PasswordFile = passwordFile } };

    private string Secret(string text, UnixFileMode mode)
    {
        string path = Path.Combine(_folder.Path, "secret");
        File.WriteAllText(path, text);
        File.SetUnixFileMode(path, mode);
        return path;
    }
}
