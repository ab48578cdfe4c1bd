namespace Evacuator.NodeAgent.Containers;

/// <summary>What a description that came from a peer has to keep to before any of its paths and names are used by root.</summary>
internal static class ManifestRules
{
    /// <summary>Every fault, in words; empty if the manifest may be used.</summary>
    public static IReadOnlyList<string> Check(ContainerDescription manifest) => throw new NotSupportedException();
}
