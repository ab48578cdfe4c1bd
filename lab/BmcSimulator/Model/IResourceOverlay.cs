using System.Text.Json.Nodes;

namespace Evacuator.Lab.BmcSimulator.Model;

/// <summary>A part of the simulator that changes resources of the tree as they are read, or adds some of its own.</summary>
internal interface IResourceOverlay
{
    /// <summary>A resource that only this overlay knows, or null.</summary>
    JsonObject? Create(string uri);

    /// <summary>Whether <see cref="Apply"/> would change this resource; untouched ones are served byte for byte.</summary>
    bool Covers(string uri);

    void Apply(string uri, JsonObject resource);
}
