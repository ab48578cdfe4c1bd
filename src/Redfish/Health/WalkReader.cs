using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Health;

/// <summary>
/// The reader of one walk: asks for each URI once, one at a time, notes for the area in hand what could not be read, and gives up when the BMC does not answer.
/// </summary>
internal sealed class WalkReader(IResourceReader inner, HealthWalkOptions options, HealthFindings findings, TimeProvider clock) : IResourceReader
{
    private readonly Dictionary<string, ReadResult> _results = [];
    private readonly long _begun = clock.GetTimestamp();
    private int _failuresInARow;

    /// <summary>The area for which is read now.</summary>
    public HealthArea Area { get; set; }

    public int Requests { get; private set; }

    public async Task<ReadResult> ReadAsync(string uri, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        string key = RedfishUri.Key(uri);
        if (!_results.TryGetValue(key, out ReadResult? result))
        {
            result = await AskAsync(uri, cancel);
            _results.Add(key, result);
        }
        if (result.Resource is null)
            findings.NotRead(Area, uri, result);
        return result;
    }

    private async Task<ReadResult> AskAsync(string uri, CancellationToken cancel)
    {
        if (Requests >= options.MaxRequests)
            return ReadResult.Failed(ReadOutcome.Refused, $"not asked: the walk made {options.MaxRequests} requests already");
        if (clock.GetElapsedTime(_begun) > options.MaxDuration)
            return ReadResult.Failed(ReadOutcome.Timeout, $"not asked: the walk took longer than {options.MaxDuration.TotalMinutes:0.#} min");
        if (_failuresInARow >= options.MaxFailuresInARow)
            return ReadResult.Failed(ReadOutcome.Unavailable, $"not asked: the BMC failed {_failuresInARow} times in a row");
        Requests++;
        ReadResult result = await inner.ReadAsync(uri, cancel);
        bool isDown = result.Outcome is ReadOutcome.Unavailable or ReadOutcome.Timeout or ReadOutcome.Unauthorized;
        _failuresInARow = isDown ? _failuresInARow + 1 : 0;
        return result;
    }
}
