namespace Evacuator.Lab.Tests.Rack;

/// <summary>Two nodes without the package, of a name of their own, for the tests of the lab itself.</summary>
public sealed class BareRack : IAsyncLifetime
{
    internal LabCommand Lab { get; } = new("selftest");

    public async Task InitializeAsync()
    {
        if (Evacuator.Testing.Prerequisites.WhyNoLab is null)
        {
            _ = (await Lab.RunAsync("up", "2", "--bare")).Text;
        }
    }

    public async Task DisposeAsync()
    {
        if (Evacuator.Testing.Prerequisites.WhyNoLab is null)
        {
            await Lab.RunAsync("down");
        }
    }
}
