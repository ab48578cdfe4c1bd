using Evacuator.Redfish.Health;
using Evacuator.Redfish.Resources;

namespace Evacuator.Health;

/// <param name="Everything">a whole read; then the URIs do not matter</param>
/// <param name="Uris">parts to read again</param>
internal sealed record ReadRequest(bool Everything, IReadOnlyList<string> Uris)
{
    public static ReadRequest Nothing { get; } = new(false, []);
}

/// <summary>
/// When what is read. A condition is read and confirmed within the configured interval by reading alone: everything is read so often that the second read of a part still falls
/// into it. Events bring reads forward, and whatever they do, the controller has at least as much rest as work.
/// </summary>
internal sealed class ReadSchedule
{
    private const int MaxUris = 64;

    private static readonly TimeSpan ShortestRest = TimeSpan.FromSeconds(1);

    /// <summary>Between two whole reads that only events asked for.</summary>
    private static readonly TimeSpan WholeSpacing = TimeSpan.FromSeconds(30);

    /// <summary>Some controllers tell first and show later: what was only told is read again after these.</summary>
    private static readonly TimeSpan[] LookAgain = [TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(60)];

    private readonly TimeProvider _time;
    private readonly TimeSpan _confirm;
    private readonly TimeSpan _every;
    private readonly List<string> _wanted = [];
    private readonly List<(DateTimeOffset At, string Uri)> _again = [];
    private readonly HashSet<string> _confirmed = [];
    private TimeSpan _pace;
    private DateTimeOffset _wholeDue;
    private DateTimeOffset? _wholeBegan;
    private bool _wholeWanted;
    private DateTimeOffset _began;
    private DateTimeOffset _restUntil;

    public ReadSchedule(TimeSpan interval, TimeSpan confirmAfter, TimeProvider time)
    {
        _time = time;
        _confirm = ConfirmAfter(interval, confirmAfter);
        _every = _pace = interval - _confirm;
        _wholeDue = time.GetUtcNow();
    }

    /// <summary>The time between the two reads that confirm: as configured, but no more than half of the interval.</summary>
    public static TimeSpan ConfirmAfter(TimeSpan interval, TimeSpan configured) => configured < interval / 2 ? configured : interval / 2;

    /// <summary>When everything is read next, if nothing asks for it before.</summary>
    public DateTimeOffset WholeDue => _wholeDue;

    /// <summary>While events are heard and nothing is open, everything need not be read so often; never more often than the configured interval asks for.</summary>
    public void Pace(TimeSpan between)
    {
        TimeSpan pace = between > _every ? between : _every;
        if (pace == _pace)
            return;
        _pace = pace;
        if (_wholeBegan is { } began)
            _wholeDue = began + pace > _restUntil ? began + pace : _restUntil;
    }

    /// <summary>An event named these parts; none: it asks for a read and does not say of what.</summary>
    public void Want(IReadOnlyList<string> uris)
    {
        if (uris.Count == 0)
            _wholeWanted = true;
        foreach (string uri in uris)
        {
            if (_wanted.Any(other => RedfishUri.Same(other, uri)))
                continue;
            // More than this is a storm, and one read of everything is cheaper.
            if (_wanted.Count >= MaxUris)
                _wholeWanted = true;
            else
                _wanted.Add(uri);
        }
    }

    /// <summary>Something may have happened before this moment that nobody can name.</summary>
    public void WantEverything(DateTimeOffset at)
    {
        if (_wholeBegan is not { } began || began < at)
            _wholeWanted = true;
    }

    /// <summary>How long nothing is due; zero when something is.</summary>
    public TimeSpan Wait(TrackerState state)
    {
        DateTimeOffset now = _time.GetUtcNow();
        DateTimeOffset due = _wholeDue;
        if (_wanted.Count > 0)
            due = Earlier(due, _restUntil);
        if (_wholeWanted)
            due = Earlier(due, WholeAllowed());
        foreach ((DateTimeOffset at, _) in _again)
            due = Earlier(due, at < _restUntil ? _restUntil : at);
        foreach (TrackedSignal tracked in Pending(state))
            due = Earlier(due, tracked.Signal.FirstSeen + _confirm < _restUntil ? _restUntil : tracked.Signal.FirstSeen + _confirm);
        // Bounded, so that a clock that is set back cannot put it to sleep.
        TimeSpan wait = due - now;
        return wait > _every ? _every : wait;
    }

    /// <summary>What is due now.</summary>
    public ReadRequest Take(TrackerState state)
    {
        DateTimeOffset now = _began = _time.GetUtcNow();
        if (now >= _wholeDue || _wholeDue - now > _pace || _wholeWanted && now >= WholeAllowed())
        {
            (_wholeBegan, _wholeWanted, _wholeDue) = (now, false, now + _pace);
            _wanted.Clear();
            _confirmed.Clear();
            return new ReadRequest(true, []);
        }

        if (now < _restUntil)
            return ReadRequest.Nothing;
        List<string> uris = [.. _wanted];
        foreach (string uri in _wanted)
            _again.AddRange(LookAgain.Select(after => (now + after, uri)));
        _wanted.Clear();
        uris.AddRange(_again.Where(again => again.At <= now && IsOnlyAnnounced(state, again.Uri)).Select(again => again.Uri));
        _again.RemoveAll(again => again.At <= now);
        if (_again.Count > 2 * MaxUris)
            _again.RemoveRange(0, _again.Count - (2 * MaxUris));
        foreach (TrackedSignal tracked in Pending(state).Where(tracked => tracked.Signal.FirstSeen + _confirm <= now).ToList())
        {
            _confirmed.Add(tracked.Signal.Key);
            uris.Add(tracked.Signal.Part);
        }

        return new ReadRequest(false, [.. uris.DistinctBy(RedfishUri.Key).Take(MaxUris)]);
    }

    /// <param name="covered">whether the read was about a part at all; an event about the system, or a log entry, asks for everything</param>
    public void Done(ReadRequest request, bool covered)
    {
        DateTimeOffset now = _time.GetUtcNow();
        TimeSpan took = now - _began;
        _restUntil = now + (took > ShortestRest ? took : ShortestRest);
        if (!request.Everything && !covered)
            _wholeWanted = true;
        // A read that takes longer than the interval must not follow on its own heels.
        if (request.Everything && _wholeDue < _restUntil)
            _wholeDue = _restUntil;
    }

    private DateTimeOffset WholeAllowed()
    {
        DateTimeOffset spaced = _wholeBegan is { } began ? began + WholeSpacing : _restUntil;
        return spaced > _restUntil ? spaced : _restUntil;
    }

    /// <summary>Read once and not yet again: each is read once more by itself when its time has come; after that the whole reads have to do.</summary>
    private IEnumerable<TrackedSignal> Pending(TrackerState state) => state.Signals.Values.Where(tracked =>
        tracked is { Reads: > 0, CleanReads: 0 } && tracked.Signal.LastSeen < tracked.Signal.FirstSeen + _confirm && !_confirmed.Contains(tracked.Signal.Key));

    private static bool IsOnlyAnnounced(TrackerState state, string uri) =>
        state.Signals.Values.Any(tracked => tracked.IsOnlyAnnounced && RedfishUri.Same(tracked.Signal.Evidence, uri));

    private static DateTimeOffset Earlier(DateTimeOffset left, DateTimeOffset right) => left < right ? left : right;
}
