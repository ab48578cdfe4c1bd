namespace Evacuator.Redfish.Resources;

/// <summary>
/// Asks for each resource once and answers from memory afterwards, for one look at a service from several sides. Of what failed by chance (no answer in time, no
/// connection) nothing is remembered. Not for watching anything: a remembered PowerState says what was.
/// </summary>
public sealed class RememberingReader(IResourceReader inner) : IResourceReader
{
    private readonly Dictionary<string, ReadResult> _known = [];

    /// <summary>Takes note of a resource that was read already, on the way to this reader.</summary>
    public void Remember(string uri, RedfishResource resource) => _known[RedfishUri.Key(uri)] = ReadResult.Found(resource);

    public async Task<ReadResult> ReadAsync(string uri, CancellationToken cancel)
    {
        string key = RedfishUri.Key(uri);
        if (_known.TryGetValue(key, out ReadResult? known))
            return known;
        ReadResult result = await inner.ReadAsync(uri, cancel).ConfigureAwait(false);
        if (result.Outcome is not (ReadOutcome.Unavailable or ReadOutcome.Timeout or ReadOutcome.Unauthorized))
            _known[key] = result;
        return result;
    }
}
