using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Evacuator.Lab.BmcSimulator.Model;

/// <summary>What a reader sees: the tree with every overlay laid over it, in order; the last word has the last overlay.</summary>
internal sealed class ServiceModel(ResourceTree tree, ServiceLayout layout, PatchStore patches, IReadOnlyList<IResourceOverlay> overlays)
{
    public ServiceLayout Layout => layout;

    /// <returns>The bytes of the resource, or null where there is none.</returns>
    public byte[]? Read(string uri)
    {
        if (patches.IsRemoved(uri))
        {
            return null;
        }

        byte[]? bytes = tree.Find(uri);
        JsonObject? resource = bytes is null ? overlays.Select(overlay => overlay.Create(uri)).FirstOrDefault(created => created is not null) : null;
        if (bytes is null && resource is null)
        {
            return null;
        }

        foreach (IResourceOverlay overlay in overlays.Where(overlay => overlay.Covers(uri)))
        {
            resource ??= TryParse(bytes!);
            if (resource is null)
            {
                return bytes;
            }

            overlay.Apply(uri, resource);
        }

        return resource is null ? bytes : JsonText.Bytes(resource);
    }

    public JsonObject? ReadObject(string uri) => Read(uri) is { } bytes ? TryParse(bytes) : null;

    /// <summary>A strong entity tag, in its quotes.</summary>
    public static string ETag(ReadOnlySpan<byte> body) => $"\"{Convert.ToHexStringLower(SHA256.HashData(body).AsSpan(0, 8))}\"";

    private static JsonObject? TryParse(byte[] bytes)
    {
        try
        {
            return JsonText.Parse(bytes) as JsonObject;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
