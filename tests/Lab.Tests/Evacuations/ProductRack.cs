using System.Text.Json;
using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>Three nodes with the package, one fleet, for all tests of the collection.</summary>
/// <remarks>With EVACUATOR_LAB_REUSE=1 a rack of that name that is up already is used, and left as it is afterwards.</remarks>
public sealed class ProductRack : IAsyncLifetime
{
    private static readonly bool s_reuse = Environment.GetEnvironmentVariable("EVACUATOR_LAB_REUSE") == "1";

    public ProductRack()
    {
        string? name = Environment.GetEnvironmentVariable("EVACUATOR_LAB");
        Lab = new LabCommand(string.IsNullOrEmpty(name) ? "test" : name);
        Nodes = [new Node(Lab, "node1", "10.77.0.11"), new Node(Lab, "node2", "10.77.0.12"), new Node(Lab, "node3", "10.77.0.13")];
    }

    internal LabCommand Lab { get; }

    internal IReadOnlyList<Node> Nodes { get; }

    internal Node this[string name] => Nodes.Single(node => node.Name == name);

    /// <summary>Runs a test on the rack; clears up after it, and says what the nodes' journals say if it fails.</summary>
    internal async Task RunAsync(Func<Scene, Task> test)
    {
        Scene scene = new(this);
        try
        {
            await test(scene);
        }
        catch (Exception e)
        {
            string told = await scene.TellAsync();
            await scene.ClearAsync();
            throw new InvalidOperationException($"{e.Message}\n{told}", e);
        }

        await scene.ClearAsync();
    }

    public async Task InitializeAsync()
    {
        if (Prerequisites.WhyNoLab is not null)
            return;
        if (s_reuse && JsonDocument.Parse((await Lab.RunAsync("status", "--json")).Text).RootElement.GetProperty("up").GetBoolean())
            return;
        _ = (await Lab.RunAsync("up", "3")).Text;
    }

    public async Task DisposeAsync()
    {
        if (Prerequisites.WhyNoLab is null && !s_reuse)
            await Lab.RunAsync("down");
    }
}

/// <summary>One rack and one test at a time: an evacuation concerns all nodes.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class RackCollection : ICollectionFixture<ProductRack>
{
    public const string Name = "rack with the product";
}
