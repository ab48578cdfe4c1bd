using System.Globalization;
using Evacuator.Common.Hosting;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.PageStore;

/// <summary>
/// systemd's store of descriptors, shared by all containers that arrive: what is in it survives this program, and what is refused by it would be
/// lost, so room is taken before any memory is sent. Safe for several threads.
/// </summary>
/// <remarks>
/// systemd drops what exceeds FileDescriptorStoreMax= without a word to the sender. It hands the names over in one variable of the environment, and
/// the kernel takes at most 128 KiB for one (MAX_ARG_STRLEN): with long names an agent that keeps much could never be started again. So names are
/// numbers, of 7 bytes at most, and the unit's limit is below 128 KiB / 8.
/// </remarks>
internal sealed class DescriptorStore
{
    /// <summary>Its userfaultfd, its pages, the table of them.</summary>
    public const int PerProcess = 3;

    private readonly Lock _lock = new();
    private readonly int _capacity;
    private readonly Func<SafeFileHandle, string, bool> _keep;
    private readonly Action<string> _remove;
    private readonly HashSet<string> _names = [];
    private int _taken;
    private int _next;

    /// <param name="capacity">descriptors that systemd takes</param>
    /// <param name="keep">leaves one with it under a name</param>
    /// <param name="remove">takes all of a name out again</param>
    internal DescriptorStore(int capacity, Func<SafeFileHandle, string, bool> keep, Action<string> remove) =>
        (_capacity, _keep, _remove) = (capacity, keep, remove);

    public DescriptorStore(SystemdNotify systemd)
        : this(SystemdNotify.DescriptorCapacity,
            // Not polled: systemd would read "ready" as "closed" from a userfaultfd with events in it, and drop it.
            (descriptor, name) => systemd.StoreDescriptor(descriptor, name, poll: false), name => systemd.RemoveDescriptor(name))
    {
    }

    /// <summary>Descriptors that still fit.</summary>
    public int Free
    {
        get
        {
            lock (_lock)
                return _capacity - _taken;
        }
    }

    /// <summary>Takes room for the processes of a container that is about to arrive.</summary>
    /// <param name="processes">as its source counts them now</param>
    /// <param name="whyNot">if there is none: for people</param>
    /// <returns>null if there is none</returns>
    public Share? TryTake(int processes, out string whyNot)
    {
        // Some more for those it starts on its way, and for children that it forks before it is filled.
        long wanted = ((long)processes + processes / 4 + 16) * PerProcess;
        lock (_lock)
        {
            whyNot = _capacity == 0
                ? "systemd keeps no descriptors for the agent (FileDescriptorStoreMax= in evacuator-agent.service), so a restart of it would lose memory that is being filled in"
                : wanted > _capacity - _taken
                    ? $"{processes} processes need {wanted} descriptors kept by systemd over a restart of the agent, and {_capacity - _taken} of {_capacity} are free (FileDescriptorStoreMax= in evacuator-agent.service)"
                    : "";
            if (whyNot.Length > 0)
                return null;
            _taken += (int)wanted;
            return new Share(this, (int)wanted);
        }
    }

    /// <summary>What an earlier life of the agent had kept is there, whether there is room or not.</summary>
    public Share Adopt(IReadOnlyCollection<KeptDescriptors> kept)
    {
        int used = kept.Count * PerProcess;
        lock (_lock)
        {
            _taken += used;
            foreach (KeptDescriptors process in kept)
                _names.Add(process.Name);
        }
        return new Share(this, used, kept);
    }

    /// <summary>Takes out what nobody can use.</summary>
    public void Remove(string name) => _remove(name);

    private string NewName_NeedsLock()
    {
        string name;
        do
            name = (_next = _next % 999_999 + 1).ToString(CultureInfo.InvariantCulture);
        while (!_names.Add(name));
        return name;
    }

    /// <summary>The room of one container, and what is kept in it.</summary>
    internal sealed class Share
    {
        private readonly DescriptorStore _store;
        private readonly Dictionary<SafeFileHandle, string> _names = [];
        private readonly List<string> _all = [];
        private int _room;
        private int _used;
        private bool _released;

        public Share(DescriptorStore store, int room, IReadOnlyCollection<KeptDescriptors>? kept = null)
        {
            (_store, _room) = (store, room);
            foreach (KeptDescriptors process in kept ?? [])
            {
                _used += PerProcess;
                _all.Add(process.Name);
                _names[process.Table] = process.Name;
            }
        }

        /// <summary>Keeps the pages of a process from now on.</summary>
        /// <returns>false if there is no room or nobody to keep them</returns>
        public bool Keep(ProcessPages pages)
        {
            string? name = TakeName(pages.Table.File);
            return name is not null && _store._keep(pages.Data, name) && _store._keep(pages.Table.File, name);
        }

        /// <summary>Keeps the userfaultfd of a process that has been restored, or forked since; for the latter its table, too.</summary>
        /// <inheritdoc cref="Keep(ProcessPages)"/>
        public bool Keep(LazyProcess process)
        {
            string? name;
            lock (_store._lock)
                name = _names.GetValueOrDefault(process.TableFile);
            if (name is not null)
                return _store._keep(process.UserFault, name);
            name = TakeName(process.TableFile);
            // A child's data are its parent's, and systemd keeps the same file only once.
            return name is not null && _store._keep(process.UserFault, name) && _store._keep(process.TableFile, name)
                && (process.SharesData || _store._keep(process.DataFile, name));
        }

        /// <summary>Takes everything out, and gives the room back.</summary>
        public void Release()
        {
            string[] names;
            lock (_store._lock)
            {
                names = [.. _all];
                _all.Clear();
                _names.Clear();
                _store._taken -= _room;
                (_room, _used, _released) = (0, 0, true);
            }
            foreach (string name in names)
                _store._remove(name);
            // Only now may somebody else use them.
            lock (_store._lock)
                _store._names.ExceptWith(names);
        }

        private string? TakeName(SafeFileHandle table)
        {
            lock (_store._lock)
            {
                // A fill that is being ended may still hear of a child.
                if (_released)
                    return null;
                if (_used + PerProcess > _room)
                {
                    if (_store._taken + PerProcess > _store._capacity)
                        return null;
                    _store._taken += PerProcess;
                    _room += PerProcess;
                }
                _used += PerProcess;
                string name = _store.NewName_NeedsLock();
                _all.Add(name);
                return _names[table] = name;
            }
        }
    }
}
