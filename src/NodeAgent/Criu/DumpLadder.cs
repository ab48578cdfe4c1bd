using System.Security.Cryptography;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.NodeAgent.Processes;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Criu;

/// <summary>
/// Which way to keep CRIU from memory that has been sent ahead works on this host. Tried in the background at the start, again when CRIU, runc or the shim is another, and again
/// after a while where a better way did not work. Moves wait for a trial that is under way or due.
/// </summary>
/// <param name="whyNoTracking">why no memory can be sent ahead on this host at all; empty if it can</param>
/// <param name="attempt">one trial</param>
/// <param name="shim">path of the library</param>
/// <param name="programs">what a result depends on, the shim included: paths that may be absent</param>
internal sealed partial class DumpLadder(
    DumpRule rule, string whyNoTracking, Func<DumpRung, CancellationToken, Task<TrialResult>> attempt, string shim, IReadOnlyList<string> programs, TimeProvider time, ILogger log)
{
    /// <summary>A host at its limits may fail a trial that it passes later.</summary>
    private static readonly TimeSpan RetryAfter = TimeSpan.FromMinutes(2);

    private readonly Lock _lock = new();
    private Task<DumpReport>? _running;
    private DumpReport _last = new(DumpRung.None, "being tried", "", "", 0, null);
    private string _seen = "";
    private long _ended;
    private bool _failed;

    public static IReadOnlyList<string> CriuPlaces { get; } = ["/usr/sbin/criu", "/usr/bin/criu", "/sbin/criu", "/bin/criu"];

    /// <summary>The newest result, without waiting; begins a trial if one is due.</summary>
    public DumpReport Report
    {
        get
        {
            _ = Begin();
            lock (_lock)
                return _last;
        }
    }

    /// <summary>The newest result; waits for a trial that is under way or due.</summary>
    public async Task<DumpReport> ChooseAsync(CancellationToken cancel) => await Begin().WaitAsync(cancel);

    /// <summary>Begins the first trial.</summary>
    public void Start() => _ = Begin();

    private Task<DumpReport> Begin()
    {
        string now = Fingerprint();
        lock (_lock)
        {
            if (_running is { IsCompleted: false })
                return _running;
            bool due = _running is null || now != _seen || (_failed && time.GetElapsedTime(_ended) > RetryAfter);
            if (!due)
                return Task.FromResult(_last);
            _seen = now;
            return _running = Task.Run(TryAllAsync);
        }
    }

    private IReadOnlyList<DumpRung> Candidates() => whyNoTracking.Length > 0 ? [] : rule switch
    {
        DumpRule.Auto => [DumpRung.Shim, DumpRung.LazyPages],
        DumpRule.Shim => [DumpRung.Shim],
        DumpRule.LazyPages => [DumpRung.LazyPages],
        _ => [],
    };

    private async Task<DumpReport> TryAllAsync()
    {
        List<string> reasons = whyNoTracking.Length > 0 ? [whyNoTracking] : [];
        // Named as the reason although it works: what is asked for is not the best there is.
        if (rule is DumpRule.LazyPages or DumpRule.Plain)
            reasons.Add("[move] dump in evacuator.conf");
        DumpRung rung = DumpRung.Plain;
        double milliseconds = 0;
        bool failed = false, hidesShared = false;
        foreach (DumpRung candidate in Candidates())
        {
            TrialResult result = await attempt(candidate, CancellationToken.None);
            milliseconds = Math.Round(result.Took.TotalMilliseconds, 1);
            if (result.Works)
            {
                rung = candidate;
                hidesShared = result.HidesShared;
                break;
            }
            reasons.Add(result.Problem);
            failed = true;
        }
        DumpReport report = new(rung, string.Join("; ", reasons), await CriuVersion.TextAsync(), HashOf(shim), milliseconds, Candidates().Count > 0 ? time.GetUtcNow() : null, hidesShared);
        lock (_lock)
        {
            _last = report;
            _failed = failed;
            _ended = time.GetTimestamp();
        }
        if (rung == DumpRung.Shim && !hidesShared)
            LogSharedInside(log, report.Criu);
        if (report.Reason.Length == 0)
            LogBest(log, report.Criu, report.Shim, report.Milliseconds);
        else
            LogWorse(log, rung, report.Criu, report.Reason);
        return report;
    }

    /// <summary>Changes when one of the programs is replaced.</summary>
    private string Fingerprint()
    {
        List<string> files = [];
        foreach (string path in programs)
            if (Interop.FileCalls.TryStat(path, out Interop.FileCalls.Statx file))
                files.Add($"{path} {file.Inode} {file.Size} {file.ChangeSeconds}.{file.ChangeNanoseconds}");
        return string.Join('\n', files);
    }

    private static string HashOf(string path)
    {
        try
        {
            return Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)).AsSpan(0, 16));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    [LoggerMessage(1701, LogLevel.Information, "CRIU {Criu} with criu-shim.so {Shim} leaves memory that was sent ahead alone (tried in {Milliseconds} ms)")]
    private static partial void LogBest(ILogger log, string criu, string shim, double milliseconds);

    [LoggerMessage(1703, LogLevel.Warning, "CRIU {Criu} cannot be kept from shared memory, which therefore travels while a container stands still")]
    private static partial void LogSharedInside(ILogger log, string criu);

    [LoggerMessage(1702, LogLevel.Warning, "containers are dumped in a slower way ({Rung}, CRIU {Criu}) and stand still for longer: {Reason}")]
    private static partial void LogWorse(ILogger log, DumpRung rung, string criu, string reason);
}
