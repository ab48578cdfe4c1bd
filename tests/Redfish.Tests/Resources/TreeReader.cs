using System.Text;
using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Tests.Resources;

/// <summary>
/// Answers reads from a folder laid out as mock-ups are, tree/&lt;uri&gt;/index.json, or from texts given by URI; counts the reads of each URI.
/// A URI that is not there is a 404, as it is on the mock-up servers.
/// </summary>
public sealed class TreeReader : IResourceReader
{
    private readonly Dictionary<string, ReadOnlyMemory<byte>> _bodies = [];
    private readonly Dictionary<string, ReadResult> _failures = [];

    /// <summary>How often each resource was asked for, by <see cref="RedfishUri.Key"/>.</summary>
    public Dictionary<string, int> Reads { get; } = [];

    public int Requests => Reads.Values.Sum();

    /// <summary>The keys of all resources there are.</summary>
    public IReadOnlyCollection<string> Keys => _bodies.Keys;

    public static TreeReader FromFolder(string tree)
    {
        TreeReader reader = new();
        foreach (string file in Directory.EnumerateFiles(tree, "index.json", SearchOption.AllDirectories))
            reader._bodies[RedfishUri.Key("/" + Path.GetRelativePath(tree, Path.GetDirectoryName(file)!).Replace('\\', '/'))] = File.ReadAllBytes(file);
        return reader;
    }

    public TreeReader Put(string uri, string json)
    {
        _bodies[RedfishUri.Key(uri)] = Encoding.UTF8.GetBytes(json);
        return this;
    }

    public TreeReader Put(string uri, ReadOnlyMemory<byte> json)
    {
        _bodies[RedfishUri.Key(uri)] = json;
        return this;
    }

    public TreeReader Fail(string uri, ReadOutcome outcome, string message)
    {
        _failures[RedfishUri.Key(uri)] = ReadResult.Failed(outcome, message);
        return this;
    }

    public ReadOnlyMemory<byte> Body(string uri) => _bodies[RedfishUri.Key(uri)];

    public Task<ReadResult> ReadAsync(string uri, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        string key = RedfishUri.Key(uri);
        Reads[key] = Reads.GetValueOrDefault(key) + 1;
        return Task.FromResult(Answer(key, uri));
    }

    private ReadResult Answer(string key, string uri)
    {
        if (_failures.TryGetValue(key, out ReadResult? failure))
            return failure;
        if (!_bodies.TryGetValue(key, out ReadOnlyMemory<byte> body))
            return ReadResult.Failed(ReadOutcome.NotFound, "HTTP 404");
        return RedfishResource.TryParse(body, uri, null, out string problem) is { } resource
            ? ReadResult.Found(resource)
            : ReadResult.Failed(ReadOutcome.Malformed, problem);
    }
}
