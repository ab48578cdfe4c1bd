using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Evacuator.NodeAgent.Containers;

/// <summary>How a container is slowed down.</summary>
internal enum ThrottleKind
{
    /// <summary>It runs at full speed.</summary>
    None = 0,

    /// <summary>cpu.max allows a part of the processor time that it used before.</summary>
    Quota = 1,

    /// <summary>Frozen and thawed in turn, where its cgroup has no cpu controller.</summary>
    Pulses = 2,
}

/// <summary>
/// Slows all processes of a cgroup (v2) down so that their memory is copied faster than they write it. For the time of a pre-copy; release it
/// before the container is frozen, since a pulse ends with a thaw, and CRIU would take a quota along.
/// </summary>
/// <remarks>
/// An agent that dies leaves the cgroup frozen in a pulse, which recovery thaws as it thaws everything that has not been released, or with a
/// quota: what stood in cpu.max before is kept in a file until it is back, and <see cref="RestoreAll"/> puts it back at the next start.
/// </remarks>
internal sealed class CgroupThrottle : IDisposable
{
    /// <summary>Of a pulse: at the lowest speed the container stands for less than this at a time, far below any budget.</summary>
    internal static readonly TimeSpan Period = TimeSpan.FromMilliseconds(20);

    /// <summary>The least that the kernel takes as a quota.</summary>
    private const int LeastQuotaMicroseconds = 1000;

    private readonly string _directory;
    private readonly string _keptFile;
    private readonly TimeProvider _time;
    private readonly long _start;
    private readonly long _usedAtStart;
    private readonly ManualResetEventSlim _stop = new();
    private Thread? _pulsing;
    private double _share = 1;
    private long _pulses;

    /// <param name="cgroupPath">below the cgroup2 mount</param>
    /// <param name="keptDirectory">where the former quota is noted while it is changed; on a file system that does not outlive a boot, as the cgroup does not</param>
    public CgroupThrottle(string cgroupPath, string keptDirectory, TimeProvider time, KernelPaths? paths = null)
    {
        _directory = (paths ?? KernelPaths.Default).CgroupDirectory(cgroupPath);
        _keptFile = Path.Combine(keptDirectory, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(_directory))));
        _time = time;
        _start = time.GetTimestamp();
        _usedAtStart = UsedMicroseconds();
    }

    public ThrottleKind Kind { get; private set; }

    /// <summary>1: full speed.</summary>
    public double Share => Volatile.Read(ref _share);

    /// <summary>How often it was stopped for a moment.</summary>
    public long Pulses => Volatile.Read(ref _pulses);

    /// <summary>From now on its processes get this part of the time that they took so far. Not for several threads.</summary>
    /// <param name="share">above 0, at most 1</param>
    public void Set(double share)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(share);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(share, 1);
        if (share == 1)
        {
            Release();
            return;
        }
        Volatile.Write(ref _share, share);
        if (Kind == ThrottleKind.None)
            Kind = File.Exists($"{_directory}/cpu.max") ? ThrottleKind.Quota : ThrottleKind.Pulses;
        if (Kind == ThrottleKind.Quota)
            SetQuota(share);
        else
            StartPulses();
    }

    /// <summary>Full speed again, at once. Nothing of it is left when this returns.</summary>
    public void Release()
    {
        Volatile.Write(ref _share, 1);
        if (_pulsing is { } thread)
        {
            _stop.Set();
            thread.Join();
            _pulsing = null;
            _stop.Reset();
        }
        if (Kind == ThrottleKind.Quota)
            Restore(_keptFile, _directory);
        Kind = ThrottleKind.None;
    }

    public void Dispose()
    {
        Release();
        _stop.Dispose();
    }

    /// <summary>Puts back what an earlier life of the agent left changed.</summary>
    /// <returns>the cgroups' directories</returns>
    public static IReadOnlyList<string> RestoreAll(string keptDirectory)
    {
        if (!Directory.Exists(keptDirectory))
            return [];
        List<string> restored = [];
        foreach (string file in Directory.GetFiles(keptDirectory))
        {
            if (Path.GetFileName(file).StartsWith('.') || File.ReadAllLines(file) is not [_, var directory])
            {
                // Half written under another name, before anything was changed.
                File.Delete(file);
                continue;
            }
            Restore(file, directory);
            restored.Add(directory);
        }
        return restored;
    }

    private static void Restore(string keptFile, string directory)
    {
        if (!File.Exists(keptFile))
            return;
        TryWrite($"{directory}/cpu.max", FirstLine(File.ReadAllText(keptFile)));
        File.Delete(keptFile);
    }

    private static string FirstLine(string text) => text.Split('\n')[0];

    private void SetQuota(double share)
    {
        string? before = ProcFiles.ReadText(_keptFile) ?? ProcFiles.ReadText($"{_directory}/cpu.max");
        if (before is null)
            return;
        before = FirstLine(before);
        // The path in the file and not as its name: a name ends at 255 bytes, which the cgroup of a pod's container needs already.
        if (!File.Exists(_keptFile))
            Common.Hosting.AtomicFile.Write(_keptFile, $"{before}\n{_directory}\n", UnixFileMode.UserRead | UnixFileMode.UserWrite);
        double elapsed = Math.Max(_time.GetElapsedTime(_start).TotalMicroseconds, 1);
        double processors = Math.Max(UsedMicroseconds() - _usedAtStart, 0) / elapsed;
        // It may have been held back before; then its quota is what it used.
        if (before.Split(' ', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) is [var quota, var period]
            && double.TryParse(quota, CultureInfo.InvariantCulture, out double allowed) && double.TryParse(period, CultureInfo.InvariantCulture, out double each) && each > 0)
            processors = Math.Min(processors, allowed / each);
        int microseconds = Math.Max(LeastQuotaMicroseconds, (int)Math.Min(share * processors * Period.TotalMicroseconds, int.MaxValue / 2));
        TryWrite($"{_directory}/cpu.max", string.Create(CultureInfo.InvariantCulture, $"{microseconds} {(int)Period.TotalMicroseconds}"));
    }

    private long UsedMicroseconds()
    {
        foreach (string line in (ProcFiles.ReadText($"{_directory}/cpu.stat") ?? "").Split('\n'))
            if (line.StartsWith("usage_usec ", StringComparison.Ordinal) && long.TryParse(line.AsSpan("usage_usec ".Length), CultureInfo.InvariantCulture, out long used))
                return used;
        return 0;
    }

    private void StartPulses()
    {
        if (_pulsing is not null)
            return;
        // A thread of its own: a pulse must end in time also when the pool is busy.
        _pulsing = new Thread(Pulse) { IsBackground = true, Name = "throttle" };
        _pulsing.Start();
    }

    private void Pulse()
    {
        try
        {
            bool stop = false;
            while (!stop)
            {
                double share = Volatile.Read(ref _share);
                if (!TryWrite($"{_directory}/cgroup.freeze", "1"))
                    return;
                stop = _stop.Wait(Period * (1 - share));
                if (!TryWrite($"{_directory}/cgroup.freeze", "0"))
                    return;
                Interlocked.Increment(ref _pulses);
                stop = stop || _stop.Wait(Period * share);
            }
        }
        finally
        {
            TryWrite($"{_directory}/cgroup.freeze", "0");
        }
    }

    /// <summary>False if the cgroup is gone.</summary>
    private static bool TryWrite(string file, string text)
    {
        try
        {
            if (!File.Exists(file))
                return false;
            File.WriteAllText(file, text);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
