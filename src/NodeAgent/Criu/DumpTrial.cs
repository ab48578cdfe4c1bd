using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Migration;
using Evacuator.NodeAgent.Processes;

namespace Evacuator.NodeAgent.Criu;

/// <summary>How a trial ended.</summary>
/// <param name="Problem">what did not work; empty if all did</param>
/// <param name="HidesShared">the shim keeps CRIU from objects of shared memory, too</param>
internal sealed record TrialResult(string Problem, TimeSpan Took, bool HidesShared = false)
{
    public bool Works => Problem.Length == 0;
}

/// <summary>
/// Dumps a small process of our own (native/dump-trial.c) as a container's is dumped, and looks at the images: what the engine owns must not be in them, all else must, byte for byte.
/// Nothing about a CRIU is taken on trust that decides whether a container's memory arrives.
/// </summary>
/// <param name="environment">of CRIU, given the path of the list of owned memory, or null if the shim is not to be used</param>
internal sealed class DumpTrial(AgentPaths paths, Func<string?, IReadOnlyDictionary<string, string>> environment, TimeProvider time)
{
    // The same numbers as in native/dump-trial.c.
    private const int Pages = 64;
    private const ulong First = 0x2000_0000_0000, Apart = 0x1000_0000, Pattern = 0x9E37_79B9_7F4A_7C15, PageSize = 4096;

    /// <summary>A trial takes a fifth of a second; a host that is at its limits gets time.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private bool _hidesShared;

    private static ulong Area(int number) => First + (ulong)number * Apart;

    /// <summary>Shared memory: the first is owned.</summary>
    private const int SharedArea = 3, SharedAreas = 2;

    /// <summary>All of the first area, none of the second, the middle of the third.</summary>
    private static (ulong Start, ulong End)[] Owned => [(Area(0), Area(0) + Pages * PageSize), (Area(2) + 16 * PageSize, Area(2) + 48 * PageSize)];

    public async Task<TrialResult> RunAsync(DumpRung rung, CancellationToken cancel)
    {
        long start = time.GetTimestamp();
        string directory = Path.Combine(paths.Runtime, "trial");
        // Linked: the agent stops; and a limit.
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        using CancellationTokenSource patience = new(Patience, time);
        await using CancellationTokenRegistration late = patience.Token.Register(limit.Cancel);
        string problem;
        _hidesShared = false;
        try
        {
            problem = await TryAsync(rung, directory, limit.Token) ?? "";
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            problem = $"a dump of a small process did not end within {Patience.TotalSeconds:0} s";
        }
        catch (Exception e) when (e is CommandException or IOException or UnauthorizedAccessException or InvalidDataException)
        {
            problem = e.Message;
        }
        return new TrialResult(problem, time.GetElapsedTime(start), _hidesShared);
    }

    private async Task<string?> TryAsync(DumpRung rung, string directory, CancellationToken cancel)
    {
        if (!File.Exists(paths.TrialProgram))
            return $"{paths.TrialProgram} is missing: reinstall the package";
        if (rung == DumpRung.Shim && !File.Exists(paths.Shim))
            return $"{paths.Shim} is missing: reinstall the package";
        if (Directory.Exists(directory))
            Directory.Delete(directory, recursive: true);
        string images = Path.Combine(directory, "images");
        Directory.CreateDirectory(images);
        using Process target = StartTarget();
        try
        {
            int pid = await FindAsync(target, cancel);
            string owned = Path.Combine(directory, "owned");
            IReadOnlyList<Memory.MemoryMapping> shared = SharedAreasOf(pid);
            await File.WriteAllBytesAsync(owned, OwnedList.Write(
                [.. Owned.Select(range => (pid, range.Start, range.End))], [.. shared.Take(1).Select(area => (area.Device >> 20, area.Device & 0xFFFFF, area.Inode))]), cancel);
            List<string> criu =
            [
                "criu", "dump", "--tree", pid.ToString(CultureInfo.InvariantCulture), "--images-dir", images, "--work-dir", images, "--log-file", "dump.log", "-v1",
                "--leave-running", "--manage-cgroups=ignore", .. rung == DumpRung.LazyPages ? LazyPagesDump.CriuOptions : [],
            ];
            IReadOnlyList<string> command = rung == DumpRung.LazyPages ? LazyPagesDump.Wrap(Path.Combine(directory, "listens"), criu) : criu;
            CommandResult result = await Command.RunAsync(command[0], command.Skip(1), cancel, environment(rung == DumpRung.Shim ? owned : null));
            if (!result.Succeeded)
                return $"criu dump of a small process ended with {result.ExitCode}: {RuncCommands.ReasonIn(images, "dump.log")} {result.Tail(1)}".TrimEnd();
            if (target.HasExited)
                return "criu dump ended the process that it was to leave running";
            if (rung != DumpRung.Shim)
                return JudgeLazyPages(images);
            string? wrong = JudgeShim(images) ?? JudgeShared(images, shared[0].Inode, shared[1].Inode, out _hidesShared);
            _hidesShared &= wrong is null;
            return wrong;
        }
        finally
        {
            // unshare takes its child with it (--kill-child).
            target.Kill(entireProcessTree: true);
            await target.WaitForExitAsync(CancellationToken.None);
            Directory.Delete(directory, recursive: true);
        }
    }

    private Process StartTarget()
    {
        try
        {
            return Process.Start(new ProcessStartInfo("unshare", ["--pid", "--fork", "--kill-child", "--", paths.TrialProgram]) { WorkingDirectory = "/" })!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new CommandException($"cannot start unshare: {e.Message}", e);
        }
    }

    /// <summary>The host's number of the process in the new namespace, once its memory is written.</summary>
    private async Task<int> FindAsync(Process parent, CancellationToken cancel)
    {
        while (true)
        {
            string children = Text($"/proc/{parent.Id}/task/{parent.Id}/children");
            if (int.TryParse(children.AsSpan().Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int pid) && Text($"/proc/{pid}/comm").Trim() == "ready")
                return pid;
            if (parent.HasExited)
                throw new CommandException($"the process to be dumped did not start (unshare or {paths.TrialProgram} ended with {parent.ExitCode})");
            await Task.Delay(TimeSpan.FromMilliseconds(2), time, cancel);
        }

        static string Text(string path) => System.Text.Encoding.ASCII.GetString(Memory.ProcFiles.Read(path));
    }

    /// <exception cref="InvalidDataException">they are not there</exception>
    private static IReadOnlyList<Memory.MemoryMapping> SharedAreasOf(int pid)
    {
        List<Memory.MemoryMapping> mappings = [];
        Memory.MemoryMapping.ParseAll(Memory.ProcFiles.Read($"/proc/{pid}/maps"), mappings);
        Memory.MemoryMapping[] shared = [.. mappings.Where(mapping => mapping.Start >= Area(SharedArea) && mapping.Start < Area(SharedArea + SharedAreas))];
        return shared.Length == SharedAreas ? shared : throw new InvalidDataException($"the process to be dumped has {shared.Length} areas of shared memory: reinstall the package");
    }

    /// <summary>Of the object that is owned nothing may be in the images, of the other everything has to be.</summary>
    /// <param name="hides">whether the first is so; without, shared memory travels in the images</param>
    /// <returns>what is wrong; null if nothing is</returns>
    internal static string? JudgeShared(string images, ulong owned, ulong other, out bool hides)
    {
        (PagemapImage image, _) = Read(images, PagemapImage.NameOfShared(owned));
        hides = image.Entries.Count == 0;
        (image, byte[] content) = Read(images, PagemapImage.NameOfShared(other));
        ulong offset = 0, intact = 0;
        foreach (PagemapEntry entry in image.Entries)
            for (ulong page = entry.Address; page < entry.End && (entry.Flags & PagemapEntry.Present) != 0; page += PageSize, offset += PageSize)
                intact += page < Pages * PageSize && IsIntact(Area(SharedArea + 1) + page, content, offset) ? 1UL : 0;
        return intact == Pages ? null : $"with criu-shim.so this CRIU saves {intact} of {Pages} pages of shared memory that it has to save";
    }

    /// <returns>what is wrong; null if nothing is</returns>
    internal static string? JudgeShim(string images)
    {
        (PagemapImage image, byte[] content) = Read(images);
        ulong offset = 0;
        HashSet<ulong> found = [];
        foreach (PagemapEntry entry in image.Entries)
        {
            for (ulong page = entry.Address; page < entry.End; page += PageSize)
            {
                if (!IsOurs(page))
                    continue;
                if (Owned.Any(range => page >= range.Start && page < range.End))
                    return "criu-shim.so does not keep this CRIU from memory that it must not read";
                if ((entry.Flags & PagemapEntry.Present) != 0 && IsIntact(page, content, offset + (page - entry.Address)))
                    found.Add(page);
            }
            if ((entry.Flags & PagemapEntry.Present) != 0)
                offset += entry.Pages * PageSize;
        }
        int expected = 3 * Pages - (int)Owned.Aggregate(0UL, (sum, range) => sum + (range.End - range.Start) / PageSize);
        return found.Count == expected ? null : $"with criu-shim.so this CRIU saves {found.Count} of {expected} pages that it has to save";
    }

    /// <inheritdoc cref="JudgeShim"/>
    internal static string? JudgeLazyPages(string images)
    {
        (PagemapImage image, _) = Read(images);
        int left = 0;
        foreach (PagemapEntry entry in image.Entries)
            for (ulong page = entry.Address; page < entry.End; page += PageSize)
            {
                if (!IsOurs(page))
                    continue;
                if ((entry.Flags & (PagemapEntry.Lazy | PagemapEntry.Present)) != PagemapEntry.Lazy)
                    return "with --lazy-pages this CRIU writes memory that it was to leave out";
                left++;
            }
        return left == 3 * Pages ? null : $"with --lazy-pages this CRIU names {left} of {3 * Pages} pages that are there";
    }

    private static (PagemapImage Image, byte[] Content) Read(string images, string name = "pagemap-1.img")
    {
        if (!File.Exists(Path.Combine(images, name)))
            throw new InvalidDataException($"criu dump of a small process left no {name}");
        PagemapImage image = PagemapImage.Read(File.ReadAllBytes(Path.Combine(images, name)));
        string pages = Path.Combine(images, $"pages-{image.PagesId}.img");
        return (image, File.Exists(pages) ? File.ReadAllBytes(pages) : []);
    }

    private static bool IsOurs(ulong page) => page >= First && page < First + 3 * Apart;

    private static bool IsIntact(ulong page, byte[] content, ulong offset)
    {
        if (offset + PageSize > (ulong)content.Length)
            return false;
        ReadOnlySpan<byte> bytes = content.AsSpan((int)offset, (int)PageSize);
        for (int at = 0; at < (int)PageSize; at += sizeof(ulong))
            if (BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]) != unchecked((page + (ulong)at) * Pattern))
                return false;
        return true;
    }
}
