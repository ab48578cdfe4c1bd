using Evacuator.Cli;
using Evacuator.Common.Configuration;
using Evacuator.Testing;

namespace Evacuator.Tests.Cli;

public sealed class ServiceCredentialTests : IDisposable
{
    private readonly TemporaryFolder _root = new();

    public void Dispose() => _root.Dispose();

    [Fact]
    public async Task Read_Plain_IsTheFirstLine()
    {
        Write("etc/credstore", "secret\n");
        Assert.Equal("secret", (await ReadAsync()).Value);
    }

    [Fact]
    public async Task Read_Nowhere_SaysWhereToPutIt()
    {
        ConfigurationMistake mistake = Assert.Single((await ReadAsync()).Mistakes);
        Assert.Equal($"{_root.Path}/etc/credstore/evacuator.bmc-password", mistake.File);
        Assert.Contains("is missing", mistake.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Read_Encrypted_NamesTheEncryptedFile()
    {
        Write("etc/credstore.encrypted", "no credential");
        ConfigurationMistake mistake = Assert.Single((await ReadAsync()).Mistakes);
        Assert.Equal($"{_root.Path}/etc/credstore.encrypted/evacuator.bmc-password", mistake.File);
        Assert.Contains("decrypt", mistake.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Read_Empty_NamesTheFileThatIsUsed()
    {
        Write("usr/lib/credstore", "\n");
        ConfigurationMistake mistake = Assert.Single((await ReadAsync()).Mistakes);
        Assert.Equal($"{_root.Path}/usr/lib/credstore/evacuator.bmc-password", mistake.File);
        Assert.Contains("is empty", mistake.Text, StringComparison.Ordinal);
    }

    private Task<Checked<string>> ReadAsync() => new ServiceCredential(_root.Path).ReadAsync(default);

    private void Write(string store, string text)
    {
        Directory.CreateDirectory($"{_root.Path}/{store}");
        File.WriteAllText($"{_root.Path}/{store}/evacuator.bmc-password", text);
    }
}
