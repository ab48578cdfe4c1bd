namespace Evacuator.Lab.BmcSimulator.Http;

/// <summary>How often one method was asked of one URI.</summary>
public sealed record RequestCount(string Method, string Uri, int Count);

/// <summary>The load that clients put on the BMC. Open event streams do not count as concurrent.</summary>
public sealed record RequestReport(int Total, int HighestConcurrency, IReadOnlyList<RequestCount> Requests)
{
    public int CountOf(string method, string uri) => Requests.Where(request => request.Method == method && request.Uri == uri).Sum(request => request.Count);
}

internal sealed class RequestCounts
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(string Method, string Uri), int> _counts = [];
    private int _open;
    private int _highest;

    /// <param name="method">The method.</param>
    /// <param name="uri">The path; a query after a question mark counts as another resource.</param>
    /// <param name="lasting">An event stream.</param>
    public IDisposable Enter(string method, string uri, bool lasting)
    {
        lock (_lock)
        {
            _counts[(method, uri)] = _counts.GetValueOrDefault((method, uri)) + 1;
            if (!lasting)
            {
                _highest = Math.Max(_highest, ++_open);
            }
        }

        return new Leaving(this, lasting);
    }

    public void Reset()
    {
        lock (_lock)
        {
            _counts.Clear();
            _highest = _open;
        }
    }

    public RequestReport Report()
    {
        lock (_lock)
        {
            return new RequestReport(_counts.Values.Sum(), _highest, [.. _counts.Select(count => new RequestCount(count.Key.Method, count.Key.Uri, count.Value))]);
        }
    }

    private sealed class Leaving(RequestCounts counts, bool lasting) : IDisposable
    {
        public void Dispose()
        {
            if (lasting)
            {
                return;
            }

            lock (counts._lock)
            {
                counts._open--;
            }
        }
    }
}
