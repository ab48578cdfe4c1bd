using System.IO.Pipes;
using System.Runtime.InteropServices;
using Evacuator.NodeAgent.PageStore;
using Evacuator.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Tests.PageStore;

/// <summary>Pages handed to memory of this very process through a userfaultfd, as a restored container gets them.</summary>
public sealed partial class LazyProcessTests
{
    private const ulong Page = 4096;

    [RootFact]
    public async Task Fill_MemoryReadMeanwhile_IsWhatTheStoreHolds()
    {
        const int Pages = 40_000;
        using WaitingMemory memory = new(Pages);
        ProcessPages pages = ProcessPages.Create(1);
        byte[] expected = new byte[Pages * (int)Page];
        Random random = new(7);
        for (int page = 0; page < Pages; page++)
        {
            if (random.Next(4) == 0)
                continue;
            Span<byte> content = expected.AsSpan(page * (int)Page, (int)Page);
            random.NextBytes(content);
            Store(pages, memory.Address + (ulong)page * Page, content);
        }
        // Backwards, so that it meets the fill coming from the front; the first fault waits before anybody fills.
        ulong start = memory.Address;
        Task<bool> reading = Task.Run(() =>
        {
            bool same = true;
            for (int page = Pages - 1; page >= 0; page--)
                same &= WaitingMemory.Read(start + (ulong)page * Page).AsSpan().SequenceEqual(expected.AsSpan(page * (int)Page, (int)Page));
            return same;
        });
        SafeFileHandle userFault = memory.TakeDescriptor();
        Assert.True(HasMessage(userFault));
        using LazySession session = LazySession.Resume(
            [new LazyProcess(userFault, pages, pages.Table, new AddressMoves())], Path.GetTempPath(), TimeProvider.System, NullLogger.Instance, Unexpected);
        bool equal = await reading;
        FillReport report = await session.Filled;

        Assert.True(equal, "a page was not what the store held");
        Assert.True(report.Faults > 0);
    }

    [RootFact]
    public async Task Dropped_BeforeItIsFilled_ReadsAsZero()
    {
        const int Pages = 4096;
        using WaitingMemory memory = new(Pages);
        ProcessPages pages = ProcessPages.Create(1);
        byte[] content = new byte[Page];
        content.AsSpan().Fill(0xA5);
        for (int page = 0; page < Pages; page++)
            Store(pages, memory.Address + (ulong)page * Page, content);
        LazyProcess process = new(memory.TakeDescriptor(), pages, pages.Table, new AddressMoves());
        long faults = 0;
        // madvise waits until its event has been read.
        using CancellationTokenSource done = new();
        Task events = Task.Run(() =>
        {
            while (!done.IsCancellationRequested)
                process.HandleMessages(ref faults);
        });

        ulong start = memory.Address;
        await Task.Run(() => Assert.Equal(0, WaitingMemory.Drop(start + 100 * Page, 200 * Page)));
        long owed = process.PagesOwed;
        byte dropped = await Task.Run(() => WaitingMemory.Read(start + 150 * Page)[0]);
        byte kept = await Task.Run(() => WaitingMemory.Read(start + 50 * Page)[0]);
        await done.CancelAsync();
        await events;
        process.Dispose();

        Assert.Equal(Pages - 200, owed);
        Assert.Equal(0, dropped);
        Assert.Equal(0xA5, kept);
    }

    [RootFact]
    public async Task Fill_StretchAcrossTwoMappings_ReachesBoth()
    {
        const int Pages = 64;
        using WaitingMemory memory = new(Pages, split: 37);
        ProcessPages pages = ProcessPages.Create(1);
        byte[] content = new byte[Page];
        content.AsSpan().Fill(0xC3);
        for (int page = 0; page < Pages; page++)
            Store(pages, memory.Address + (ulong)page * Page, content);
        ulong start = memory.Address;
        using LazySession session = LazySession.Resume(
            [new LazyProcess(memory.TakeDescriptor(), pages, pages.Table, new AddressMoves())], Path.GetTempPath(), TimeProvider.System, NullLogger.Instance, Unexpected);

        // A fault just below the border asks for a stretch that crosses it.
        byte below = await Task.Run(() => WaitingMemory.Read(start + 36 * Page)[0]);
        await session.Filled;

        Assert.Equal(0xC3, below);
        Assert.All(Enumerable.Range(0, Pages), page => Assert.Equal(0xC3, WaitingMemory.Read(start + (ulong)page * Page)[0]));
    }

    /// <summary>Post-copy: a third of the pages is here, a third at the source, a third at the source and zero. Reading waits for what is away and for nothing else.</summary>
    [RootFact]
    public async Task Away_ReadMeanwhile_WaitsForThePageAndGetsIt()
    {
        const int Pages = 3000;
        using WaitingMemory memory = new(Pages);
        ProcessPages pages = ProcessPages.Create(1);
        byte[] expected = new byte[Pages * (int)Page];
        Random random = new(11);
        ulong start = memory.Address;
        for (int page = 0; page < Pages; page++)
        {
            Span<byte> content = expected.AsSpan(page * (int)Page, (int)Page);
            if (page % 3 < 2)
                random.NextBytes(content);
            if (page % 3 == 0)
                Store(pages, start + (ulong)page * Page, content);
            else
                pages.Leave(start + (ulong)page * Page, Page);
        }
        Assert.Equal([(start, (ulong)Pages)], pages.Runs());
        SafeFileHandle userFault = memory.TakeDescriptor();
        using LazySession session = LazySession.Resume(
            [new LazyProcess(userFault, pages, pages.Table, new AddressMoves())], Path.GetTempPath(), TimeProvider.System, NullLogger.Instance, Unexpected);

        // Backwards, so that most of it is asked for before it comes by itself.
        Task<bool> reading = Task.Run(() =>
        {
            bool same = true;
            for (int page = Pages - 1; page >= 0; page--)
                same &= WaitingMemory.Read(start + (ulong)page * Page).AsSpan().SequenceEqual(expected.AsSpan(page * (int)Page, (int)Page));
            return same;
        });
        int asked = 0;
        while (asked < 500)
        {
            WantedPage wanted = await session.Wanted.ReadAsync();
            Assert.False(session.Filled.IsCompleted);
            Arrive(wanted.Address, 1);
            asked++;
        }
        foreach ((int _, ulong address, int count) in session.AllAway(limit: 16).ToArray())
            Arrive(address, count);
        // What is away is in the list or has been asked for; nobody may wait for anything else.
        while (session.Wanted.TryRead(out WantedPage late))
            Arrive(late.Address, 1);

        Assert.True(await reading, "a page was not what the source had");
        await session.Filled;
        Assert.Equal(0, session.PagesAway);

        void Arrive(ulong address, int count)
        {
            for (int i = 0; i < count; i++)
            {
                int page = (int)((address - start) / Page) + i;
                ReadOnlySpan<byte> content = expected.AsSpan(page * (int)Page, (int)Page);
                session.Arrive(1, address + (ulong)i * Page, 1, content.ContainsAnyExcept((byte)0) ? content : default);
            }
        }
    }

    /// <summary>Memory that is thrown away while a thread waits for a page of it: the thread reads zero, and nothing is owed.</summary>
    [RootFact]
    public async Task Away_DroppedWhileAThreadWaits_ReadsAsZero()
    {
        using WaitingMemory memory = new(64);
        ProcessPages pages = ProcessPages.Create(1);
        pages.Leave(memory.Address, 64 * Page);
        using LazySession session = LazySession.Resume(
            [new LazyProcess(memory.TakeDescriptor(), pages, pages.Table, new AddressMoves())], Path.GetTempPath(), TimeProvider.System, NullLogger.Instance, Unexpected);
        ulong start = memory.Address;
        Task<byte> reading = Task.Factory.StartNew(() => WaitingMemory.Read(start + 5 * Page)[0], TaskCreationOptions.LongRunning);
        WantedPage wanted = await session.Wanted.ReadAsync();
        Assert.Equal(new WantedPage(1, start + 5 * Page), wanted);

        Assert.Equal(0, await Task.Run(() => WaitingMemory.Drop(start, 64 * Page)));

        Assert.Equal(0, await reading);
        await session.Filled;
        // Late: nobody wants it any more.
        session.Arrive(1, start + 6 * Page, 1, Enumerable.Repeat((byte)1, (int)Page).ToArray());
        Assert.Equal(0, WaitingMemory.Read(start + 6 * Page)[0]);
        // Later still: the store is gone.
        await session.Ended;
        session.Arrive(1, start + 6 * Page, 1, new byte[Page]);
        Assert.Equal(0, session.PagesAway);
    }

    [RootFact]
    public void Runs_OfTheStore_AreThePagesThatArrived()
    {
        using ProcessPages pages = ProcessPages.Create(1);
        byte[] content = new byte[Page];
        // Across a region's border, out of order, and one alone.
        foreach (ulong page in (ulong[])[513, 511, 512, 5000])
            Store(pages, page * Page, content);
        pages.Drop(512 * Page, Page);
        Store(pages, 512 * Page, content);

        Assert.Equal([(511 * Page, 3UL), (5000 * Page, 1UL)], pages.Runs());
        pages.Drop(512 * Page, Page);
        Assert.Equal([(511 * Page, 1UL), (513 * Page, 1UL), (5000 * Page, 1UL)], pages.Runs());
    }

    [RootFact]
    public unsafe void Store_TakenOverByDescriptors_HoldsTheSame()
    {
        using ProcessPages pages = ProcessPages.Create(42);
        byte[] content = new byte[Page];
        content.AsSpan().Fill(0x5A);
        Store(pages, 7 * Page, content);
        pages.Table.KeepMoves([new AddressMoves.Piece(7 * Page, Page, 9 * Page)]);

        using ProcessPages again = ProcessPages.Open(Duplicate(pages.Data), Duplicate(pages.Table.File));

        Assert.Equal(42, again.VirtualPid);
        Assert.Equal([(7 * Page, 1UL)], again.Runs());
        Assert.Equal(0x5A, *again.Locate(0, 7));
        Assert.Equal(9 * Page, again.Table.ReadMoves().ToProcess(7 * Page));
    }

    /// <summary>A pipe never has a message, and no page can be copied through it: an error that nobody has foreseen.</summary>
    [RootFact]
    public async Task Fill_UnexpectedError_EndsTheAgentAndClosesNothing()
    {
        const int Pages = 2000;
        using WaitingMemory memory = new(Pages);
        using AnonymousPipeServerStream pipe = new(PipeDirection.Out);
        ProcessPages pages = ProcessPages.Create(1), broken = ProcessPages.Create(2);
        byte[] content = new byte[Page];
        content.AsSpan().Fill(0x3C);
        for (int page = 0; page < Pages; page++)
            Store(pages, memory.Address + (ulong)page * Page, content);
        Store(broken, memory.Address, content);
        SafeFileHandle userFault = memory.TakeDescriptor(), wrong = Duplicate((int)pipe.ClientSafePipeHandle.DangerousGetHandle());
        TaskCompletionSource<Exception> fatal = new(TaskCreationOptions.RunContinuationsAsynchronously);

        using LazySession session = LazySession.Resume(
            [new LazyProcess(wrong, broken, broken.Table, new AddressMoves()), new LazyProcess(userFault, pages, pages.Table, new AddressMoves())],
            Path.GetTempPath(), TimeProvider.System, NullLogger.Instance, e => fatal.TrySetResult(e));
        IOException failure = await Assert.ThrowsAnyAsync<IOException>(() => session.Filled);
        Assert.Same(failure, await fatal.Task);
        await session.Ended;

        // This descriptor is the only one: had it been closed, the rest would read as zeroes. The next life of the agent goes on with it.
        Assert.True(pages.Table.CountPages() > 0);
        pages.AddUser();
        ulong start = memory.Address;
        using LazySession next = LazySession.Resume(
            [new LazyProcess(userFault, pages, pages.Table, new AddressMoves())], Path.GetTempPath(), TimeProvider.System, NullLogger.Instance, Unexpected);
        bool whole = await Task.Run(() => Enumerable.Range(0, Pages).All(page => WaitingMemory.Read(start + (ulong)page * Page).AsSpan().SequenceEqual(content)));
        await next.Filled;
        Assert.True(whole, "a page that was owed was read as something else");
    }

    [RootTheory]
    [InlineData(7)]
    [InlineData(64)]
    public void Messages_WhatIsNone_AreAnErrorAndNotTheEndOfTheProcess(int bytes)
    {
        string file = Path.GetTempFileName();
        File.WriteAllBytes(file, new byte[bytes]);
        ProcessPages pages = ProcessPages.Create(1);
        using LazyProcess process = new(File.OpenHandle(file), pages, pages.Table, new AddressMoves());
        Store(pages, 16 * Page, new byte[Page]);
        long faults = 0;

        Assert.ThrowsAny<IOException>(() => process.HandleMessages(ref faults));

        File.Delete(file);
        Assert.False(process.IsGone);
        Assert.Equal(1, process.PagesOwed);
    }

    [RootFact]
    public void Messages_EndOfFile_IsTheEndOfTheProcess()
    {
        ProcessPages pages = ProcessPages.Create(1);
        using LazyProcess process = new(File.OpenHandle("/dev/null"), pages, pages.Table, new AddressMoves());
        long faults = 0;

        Assert.Empty(process.HandleMessages(ref faults));

        Assert.True(process.IsGone);
    }

    /// <summary>The session's task carries the error into the test; the program under test would end here.</summary>
    private static void Unexpected(Exception e)
    {
    }

    private static unsafe void Store(ProcessPages pages, ulong address, ReadOnlySpan<byte> content)
    {
        (nint bytes, int region, int page, int length) = pages.Place(address, (ulong)content.Length);
        Assert.Equal(content.Length, length);
        content.CopyTo(new Span<byte>((void*)bytes, length));
        pages.Keep(region, page, length);
    }

    private static SafeFileHandle Duplicate(SafeFileHandle file) => Duplicate((int)file.DangerousGetHandle());

    private static SafeFileHandle Duplicate(int descriptor) => new(Dup(descriptor), ownsHandle: true);

    [LibraryImport("libc", EntryPoint = "dup")]
    private static partial int Dup(int descriptor);

    private static unsafe bool HasMessage(SafeFileHandle userFault)
    {
        Interop.PollEntry entry = new() { Descriptor = (int)userFault.DangerousGetHandle(), Events = 1 };
        return Interop.Poll(&entry, 1, 10_000) == 1;
    }
}
