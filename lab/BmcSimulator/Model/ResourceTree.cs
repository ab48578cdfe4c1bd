using System.Reflection;
using System.Text;

namespace Evacuator.Lab.BmcSimulator.Model;

/// <summary>The resources as they were at the factory: the bytes of <c>TREE/URI/index.json</c> by URI. Immutable.</summary>
internal sealed class ResourceTree
{
    private const string IndexFile = "/index.json";
    private const string ShippedPrefix = "tree/";

    private readonly Dictionary<string, byte[]> _resources;

    private ResourceTree(Dictionary<string, byte[]> resources) => _resources = resources;

    public IReadOnlyCollection<string> Uris => _resources.Keys;

    public byte[]? Find(string uri) => _resources.GetValueOrDefault(uri);

    /// <summary>Reads a mock-up directory: the one that holds <c>redfish/v1/index.json</c>.</summary>
    /// <exception cref="InvalidDataException">There is no service root in it.</exception>
    public static ResourceTree FromDirectory(string directory)
    {
        var resources = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        string root = Path.GetFullPath(directory).TrimEnd('/');
        foreach (string file in Directory.EnumerateFiles(root, "index.json", SearchOption.AllDirectories))
        {
            resources[file[root.Length..^IndexFile.Length]] = File.ReadAllBytes(file);
        }

        return resources.ContainsKey("/redfish/v1")
            ? new ResourceTree(resources)
            : throw new InvalidDataException($"{root} holds no redfish/v1/index.json: give the folder that contains redfish/");
    }

    /// <summary>The project's own small machine, with the node's name, serial number and UUID filled in.</summary>
    public static ResourceTree Shipped(NodeIdentity identity, string user)
    {
        var resources = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        Assembly assembly = typeof(ResourceTree).Assembly;
        foreach (string name in assembly.GetManifestResourceNames().Where(name => name.StartsWith(ShippedPrefix, StringComparison.Ordinal)))
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!, Encoding.UTF8);
            string text = reader.ReadToEnd()
                .Replace("{{name}}", identity.Name, StringComparison.Ordinal)
                .Replace("{{uuid}}", identity.Uuid.ToString(), StringComparison.Ordinal)
                .Replace("{{bmc-uuid}}", identity.BmcUuid.ToString(), StringComparison.Ordinal)
                .Replace("{{serial}}", identity.Serial, StringComparison.Ordinal)
                .Replace("{{hash}}", identity.SerialStem, StringComparison.Ordinal)
                .Replace("{{user}}", user, StringComparison.Ordinal);
            resources["/" + name[ShippedPrefix.Length..^IndexFile.Length]] = Encoding.UTF8.GetBytes(text);
        }

        return new ResourceTree(resources);
    }
}
