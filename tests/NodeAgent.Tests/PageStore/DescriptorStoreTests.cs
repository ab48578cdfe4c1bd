using System.Runtime.InteropServices;
using Evacuator.NodeAgent.PageStore;
using Evacuator.Testing;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Tests.PageStore;

/// <summary>What systemd keeps of arriving containers: how much fits, and what a restarted agent makes of it.</summary>
public sealed partial class DescriptorStoreTests
{
    private readonly List<(string Name, SafeFileHandle Handle)> _systemd = [];

    [Fact]
    public void TryTake_ContainersArrivingAtOnce_CountTogether()
    {
        DescriptorStore store = Store(1000);

        DescriptorStore.Share? first = store.TryTake(100, out string none);
        Assert.NotNull(first);
        Assert.Empty(none);
        Assert.NotNull(store.TryTake(100, out _));

        Assert.Null(store.TryTake(100, out string whyNot));
        Assert.Contains("100 processes", whyNot, StringComparison.Ordinal);
        Assert.Contains("of 1000 are free", whyNot, StringComparison.Ordinal);

        // Room comes back with the one that took it.
        first.Release();
        Assert.NotNull(store.TryTake(100, out _));
    }

    [Fact]
    public void TryTake_SystemdKeepsNothing_IsRefusedWithTheSetting()
    {
        Assert.Null(Store(0).TryTake(1, out string whyNot));
        Assert.Contains("FileDescriptorStoreMax=", whyNot, StringComparison.Ordinal);
    }

    [RootFact]
    public void Keep_MoreProcessesThanAnnounced_TakesRoomWhileThereIsSome()
    {
        DescriptorStore store = Store(17 * 3 + 2 * 3);
        DescriptorStore.Share share = store.TryTake(1, out _)!;
        List<ProcessPages> pages = [.. Enumerable.Range(1, 20).Select(pid => ProcessPages.Create(pid))];

        bool[] kept = [.. pages.Select(share.Keep)];

        Assert.Equal([.. Enumerable.Repeat(true, 19), false], kept);
        Assert.Equal(0, store.Free);
        share.Release();
        Assert.Equal(17 * 3 + 2 * 3, store.Free);
        Assert.Empty(_systemd);
        pages.ForEach(process => process.Dispose());
    }

    [RootFact]
    public void Keep_AfterItsRelease_KeepsNothingAndTakesNoRoom()
    {
        DescriptorStore store = Store(1000);
        DescriptorStore.Share share = store.TryTake(1, out _)!;
        using ProcessPages early = ProcessPages.Create(1), late = ProcessPages.Create(2);
        Assert.True(share.Keep(early));
        share.Release();

        // A fill that ends may hear of one more child.
        Assert.False(share.Keep(early));
        Assert.False(share.Keep(late));
        Assert.Equal(1000, store.Free);
        Assert.Empty(_systemd);
    }

    /// <summary>MAX_ARG_STRLEN is 128 KiB: an agent whose names exceed it could not be started again.</summary>
    [Fact]
    public void Names_OfAFullStore_FitIntoOneVariable()
    {
        string unit = File.ReadAllText(Path.Combine(Prerequisites.ProjectRoot, "systemd", "evacuator-agent.service"));
        int max = int.Parse(unit.Split("\nFileDescriptorStoreMax=")[1].Split('\n')[0]);

        // Six digits at most, and a colon.
        Assert.InRange("LISTEN_FDNAMES=".Length + max * 7, 1, 128 << 10);
    }

    [RootFact]
    public void Sort_WhatARestartedAgentIsGiven_NamesMoveAndProcess()
    {
        Guid move = Guid.NewGuid();
        DescriptorStore store = Store(1000);
        DescriptorStore.Share share = store.TryTake(3, out _)!;
        using ProcessPages ready = ProcessPages.Create(7, move), restored = ProcessPages.Create(8, move);
        Assert.True(share.Keep(ready));
        Assert.True(share.Keep(restored));
        LazyProcess parent = new(UserFault(), restored, restored.Table, new AddressMoves());
        restored.AddUser();
        LazyProcess child = new(UserFault(), restored, restored.Table.Clone(8, new AddressMoves()), new AddressMoves());
        Assert.True(share.Keep(parent));
        Assert.True(share.Keep(child));
        // systemd keeps the same open file only once, so nothing may rely on a second copy of it.
        Assert.Equal(_systemd.Count, _systemd.Select(item => item.Handle).Distinct().Count());
        Assert.Equal(2 + 3 + 2, _systemd.Count);

        (IReadOnlyList<KeptDescriptors> kept, IReadOnlyList<string> rest) = KeptDescriptors.Sort(
            [.. _systemd.Select(item => (item.Name, Duplicate(item.Handle))), ("stray", File.OpenHandle("/dev/null")), ("x", Duplicate(ready.Data))]);

        Assert.All(kept, process => Assert.Equal(move, process.MoveId));
        Assert.Equal(
            [(7, false, true), (8, true, true), (8, true, false)],
            kept.Select(process => (process.VirtualPid, process.UserFault is not null, process.Data is not null)).OrderBy(process => (process.VirtualPid, !process.Item3)));
        Assert.Equal(["stray", "x"], rest);

        // The next life counts them, and lets go of each by its name.
        DescriptorStore again = Store(1000);
        DescriptorStore.Share adopted = again.Adopt(kept);
        Assert.Equal(1000 - 9, again.Free);
        adopted.Release();
        Assert.Empty(_systemd);
        foreach (KeptDescriptors process in kept)
            process.Close();
        parent.Dispose();
        child.Dispose();
    }

    private DescriptorStore Store(int capacity) => new(
        capacity,
        (handle, name) =>
        {
            _systemd.Add((name, handle));
            return true;
        },
        name => _systemd.RemoveAll(item => item.Name == name));

    private static SafeFileHandle UserFault() => new((int)SystemCall(323, 0x80801), ownsHandle: true);

    private static SafeFileHandle Duplicate(SafeFileHandle file) => new(Dup((int)file.DangerousGetHandle()), ownsHandle: true);

    [LibraryImport("libc", EntryPoint = "dup")]
    private static partial int Dup(int descriptor);

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial long SystemCall(long number, long argument);
}
