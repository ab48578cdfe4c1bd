using System.Text;

namespace Evacuator.Lab.BmcSimulator.Faults;

/// <summary>The faults in force. The features ask it at the point where each fault would strike.</summary>
internal sealed class FaultMenu(TimeProvider time)
{
    private readonly Lock _lock = new();
    private readonly List<Active> _active = [];

    private sealed class Active(Fault fault, DateTimeOffset? until, string? frozen)
    {
        public Fault Fault => fault;

        public DateTimeOffset? Until => until;

        /// <summary>What a stale reading shows.</summary>
        public string? Frozen => frozen;

        public int? Left { get; set; } = fault.Count;
    }

    /// <param name="fault">The fault.</param>
    /// <param name="frozen">The value that <see cref="FaultKind.PowerStale"/> goes on showing.</param>
    public void Add(Fault fault, string? frozen = null)
    {
        DateTimeOffset? until = fault.Seconds is { } seconds ? time.GetUtcNow() + TimeSpan.FromSeconds(seconds) : null;
        lock (_lock)
        {
            _active.Add(new Active(fault, until, frozen));
        }
    }

    public void Clear()
    {
        lock (_lock)
        {
            _active.Clear();
        }
    }

    public IReadOnlyList<Fault> List()
    {
        lock (_lock)
        {
            Expire_NeedsLock();
            return [.. _active.Select(active => active.Fault with { Count = active.Left })];
        }
    }

    /// <summary>The fault that strikes this request, counted; null where none does.</summary>
    public Fault? Take(FaultKind kind, string method, string uri)
    {
        lock (_lock)
        {
            Expire_NeedsLock();
            if (_active.Find(active => active.Fault.Kind == kind && active.Fault.Matches(method, uri)) is not { } found)
            {
                return null;
            }

            found.Left--;
            return found.Fault;
        }
    }

    public bool IsActive(FaultKind kind) => Find(kind) is not null;

    /// <summary>The power state to show instead of the real one, or null.</summary>
    public string? StalePower => Find(FaultKind.PowerStale)?.Frozen;

    /// <summary>The year that the BMC's clock shows, or null where it is right.</summary>
    public int? ClockYear => Find(FaultKind.Clock)?.Fault.Year;

    /// <summary>Faults that change what events say, as they are sent.</summary>
    public byte[] Apply(byte[] eventText) =>
        ClockYear is { } year ? Encoding.UTF8.GetBytes(BodyFaults.SetYear(Encoding.UTF8.GetString(eventText), year)) : eventText;

    private Active? Find(FaultKind kind)
    {
        lock (_lock)
        {
            Expire_NeedsLock();
            return _active.Find(active => active.Fault.Kind == kind);
        }
    }

    private void Expire_NeedsLock() => _active.RemoveAll(active => active.Left <= 0 || active.Until <= time.GetUtcNow());
}
