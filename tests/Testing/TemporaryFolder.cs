namespace Evacuator.Testing;

/// <summary>An empty folder that is gone after the test.</summary>
public sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("evacuator-test-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
