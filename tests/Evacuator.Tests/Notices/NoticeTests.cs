using System.Net;
using System.Text;
using System.Text.Json;
using Evacuator.Api;
using Evacuator.Cli;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Notices;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Notices;

/// <summary>What is told, when, and that a hook can do nothing but listen.</summary>
public sealed class NoticeTests
{
    [Fact]
    public async Task Evacuation_Whole_IsToldToTheCommandOnceInOrder()
    {
        using TemporaryFolder folder = new();
        string told = Path.Combine(folder.Path, "told");
        await using TestFleet fleet = await StartAsync(Script(folder, $"cat >>{told}; echo >>{told}"));
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        fleet["node1"].Agent.Containers["stay"] = FakeRack.Container("stay", annotations: ("evacuator.policy", "stay")) with { Addresses = [] };
        await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync(partial: true)).Id);

        List<Notice> notices = await ToldAsync(told, 3);
        Assert.Equal([NoticeKind.Started, NoticeKind.Blocked, NoticeKind.NeedsPerson], notices.Select(notice => notice.Kind).Order());
        Assert.All(notices, notice => Assert.Equal(("node1", "T-1"), (notice.About, notice.Ticket)));
        // A restart finds the same things again, and tells none of them twice.
        await fleet["node1"].RestartAsync();
        await fleet["node1"].EvacuateAsync(partial: true);
        Assert.Equal(notices.Select(notice => notice.Key), (await ToldAsync(told, 4)).Take(3).Select(notice => notice.Key));
    }

    [Fact]
    public async Task SafeToPull_IsToldByTheWitness_WithPartAndPlace()
    {
        using TemporaryFolder folder = new();
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        StartResult started = fleet["node1"].Service<EvacuationService>().Start(new Trigger
        {
            Kind = TriggerKind.Signal,
            Key = "signal:1",
            Reason = "DIMM",
            RequestedBy = "signal",
            PowerOff = true,
            Fault = new Fault("DIMM 4, part 815100-B21", "PROC 1 DIMM 4", "815100-B21", "S-77"),
        });
        await fleet["node2"].WaitForEndAsync(started.Id!.Value);
        Notice notice = await FindAsync(fleet["node2"], NoticeKind.SafeToPull);

        Assert.Equal(("node1", "node2", "PROC 1 DIMM 4", "DIMM 4, part 815100-B21"), (notice.About, notice.Node, notice.Location, notice.Part));
        Assert.Equal(("815100-B21", "S-77"), (notice.PartNumber, notice.SerialNumber));
        Assert.Contains("SAFE TO PULL", notice.Text, StringComparison.Ordinal);
        Assert.Contains("PROC 1 DIMM 4", notice.Text, StringComparison.Ordinal);
    }

    /// <summary>The fleet could spare it when it was asked, and another took the place before it began.</summary>
    [Fact]
    public async Task Hardware_AskedForItAndItWaitsForItsPlace_IsToldOnceAsAMatterForAPerson()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(
            options: same => same with { Fleet = same.Fleet with { MaxEmptied = 1 } }, timings: same => same with { StandsStill = TimeSpan.FromMilliseconds(100) });
        await fleet["node2"].WaitForEndAsync((await fleet["node2"].EvacuateAsync()).Id);
        StartResult started = fleet["node1"].Service<EvacuationService>().Start(new Trigger { Kind = TriggerKind.Signal, Key = "signal:1", Reason = "DIMM 4 fails", RequestedBy = "signal" });
        Notice notice = await FindAsync(fleet["node1"], NoticeKind.NeedsPerson);
        Assert.Contains("DIMM 4 fails", notice.Text, StringComparison.Ordinal);
        Assert.Contains("has not begun", notice.Text, StringComparison.Ordinal);
        Assert.Contains("node2 is being emptied", (await fleet["node1"].ReportAsync(started.Id!.Value)).Waiting!.For, StringComparison.Ordinal);

        using (BrainClient client = fleet["node2"].Client())
            await client.PostAsync(ApiRoutes.Reopen, default);
        Assert.Equal(EvacuationPhase.Done, (await fleet["node1"].WaitForEndAsync(started.Id!.Value)).State);
        Assert.Single(fleet["node1"].Journal!.RecentNotices(50), entry => entry.Notice.Kind == NoticeKind.NeedsPerson);
    }

    /// <summary>Frozen, released, and nobody there to run it: it waits for a person who knows what became of the other host.</summary>
    [Fact]
    public async Task Container_ReleasedAndStandingStill_IsToldOnceAsAMatterForAPerson()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(timings: same => same with { StandsStill = TimeSpan.FromMilliseconds(100) });
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        node.Agent.Hold = move => move.Phase == SourcePhase.Released;
        Guid id = (await node.EvacuateAsync()).Id;
        Notice notice = await FindAsync(node, NoticeKind.NeedsPerson);
        Assert.Equal("c1", notice.Container);
        Assert.Contains("STANDS STILL", notice.Text, StringComparison.Ordinal);
        Assert.Contains("evacuator settle", notice.Text, StringComparison.Ordinal);

        // A restart, which begins to count anew, tells it no second time.
        await node.RestartAsync();
        await Task.Delay(node.Timings.StandsStill * 2);
        node.Agent.Hold = _ => false;
        Assert.Equal(EvacuationPhase.Done, (await node.WaitForEndAsync(id)).State);
        Assert.Single(node.Journal!.RecentNotices(50), entry => entry.Notice.Kind == NoticeKind.NeedsPerson);
    }

    [Fact]
    public async Task Hook_ThatHangs_ChangesNothingAndIsKilled()
    {
        using TemporaryFolder folder = new();
        string pid = Path.Combine(folder.Path, "pid");
        await using TestFleet fleet = await StartAsync(Script(folder, $"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 1000"), TimeSpan.FromMilliseconds(300));
        fleet["node1"].Agent.Containers["c1"] = FakeRack.Container("c1");
        EvacuationReport report = await fleet["node1"].WaitForEndAsync((await fleet["node1"].EvacuateAsync()).Id);
        Assert.Equal(EvacuationPhase.Done, report.State);

        NoticeEntry entry = await EntryAsync(fleet["node1"], entry => entry.Deliveries.Values.Any(delivery => delivery.Attempts >= 2));
        Assert.Contains("was killed", entry.Deliveries["command"].Problem, StringComparison.Ordinal);
        Assert.False(entry.Deliveries["command"].Delivered);
        Assert.Contains(fleet["node1"].Service<NoticeService>().Problems(), problem => problem.Contains("the command has not taken", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Hook_ThatFailsAtFirst_GetsItLater()
    {
        using TemporaryFolder folder = new();
        string told = Path.Combine(folder.Path, "told");
        await using TestFleet fleet = await StartAsync(Script(folder, $"test -e {told}.ready || exit 7; cat >>{told}; echo >>{told}"));
        NoticeBook book = fleet["node1"].Service<NoticeBook>();
        Assert.True(book.Raise(book.Make(NoticeKind.Test, "test/1", "one")));
        Assert.False(book.Raise(book.Make(NoticeKind.Test, "test/1", "one")));
        NoticeEntry entry = await EntryAsync(fleet["node1"], entry => entry.Deliveries["command"].Attempts > 0);
        Assert.Contains("ended with 7", entry.Deliveries["command"].Problem, StringComparison.Ordinal);
        File.WriteAllText($"{told}.ready", "");

        Assert.Equal("test/1", Assert.Single(await ToldAsync(told, 1)).Key);
        await EntryAsync(fleet["node1"], entry => entry.Deliveries["command"].Delivered);
        Assert.Empty(fleet["node1"].Service<NoticeService>().Problems());
    }

    [Fact]
    public async Task Webhook_GetsTheNoticeAsJson_AndARefusalIsTriedAgain()
    {
        using HttpListener listener = Listen(out string url);
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 1, options: same => same with { Notify = new NotifyOptions { Webhook = url } });
        NoticeBook book = fleet["node1"].Service<NoticeBook>();
        book.Raise(book.Make(NoticeKind.Test, "test/1", "one"));

        Assert.Equal("test/1", (await AnswerAsync(listener, 500)).Key);
        Assert.Equal("one", (await AnswerAsync(listener, 204)).Text);
        NoticeEntry entry = await EntryAsync(fleet["node1"], entry => entry.Deliveries["webhook"].Delivered);
        Assert.Equal(2, entry.Deliveries["webhook"].Attempts);
    }

    [Fact]
    public void Pause_Grows_AndEndsAtHalfAnHour()
    {
        TimeSpan first = TimeSpan.FromSeconds(2);
        Assert.Equal([2, 8, 32, 128, 512, 1800, 1800], Enumerable.Range(1, 7).Select(attempt => (int)NoticeService.Pause(attempt, first).TotalSeconds));
        Assert.Equal(TimeSpan.FromMinutes(30), NoticeService.Pause(int.MaxValue, first));
    }

    /// <summary>Whoever watches the journal for these has them written down.</summary>
    [Fact]
    public void Ids_AreThoseOfEarlierVersions()
    {
        Assert.Equal("None=0 Started=1 Blocked=2 Failed=3 Done=4 SafeToPull=5 BackHome=6 NeedsPerson=7 Cancelled=8 Window=9 Test=10 CannotMove=11",
            string.Join(' ', Enum.GetValues<NoticeKind>().Select(kind => $"{kind}={(int)kind}")));
        Assert.Equal(Enumerable.Range(1, 11).Select(number => $"2f0d7a5e3c4b4a5fb1f0c8a1d94e6b{number:x2}"), Enum.GetValues<NoticeKind>().Skip(1).Select(NoticeIds.Of));
    }

    /// <summary>https://systemd.io/JOURNAL_NATIVE_PROTOCOL: a value with its length, so that no text can add a field.</summary>
    [Fact]
    public void Datagram_TextWithLineBreaks_StaysOneField()
    {
        byte[] datagram = SystemJournal.Datagram(new Notice { Key = "k", Kind = NoticeKind.Done, At = default, Node = "a", About = "b", Text = "x\nPRIORITY=0" });
        string text = Encoding.Latin1.GetString(datagram);

        Assert.StartsWith("MESSAGE\n\u000c\0\0\0\0\0\0\0x\nPRIORITY=0\nMESSAGE_ID\n", text, StringComparison.Ordinal);
        Assert.Contains("EVACUATOR_NOTICE\n\u0004\0\0\0\0\0\0\0done\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain("EVACUATOR_CONTAINER", text, StringComparison.Ordinal);
    }

    private static Task<TestFleet> StartAsync(string command, TimeSpan? timeout = null) => TestFleet.StartAsync(options: same => same.Node.Name == "node1"
        ? same with { Notify = new NotifyOptions { Command = command, Timeout = timeout ?? TimeSpan.FromSeconds(30) } }
        : same);

    private static string Script(TemporaryFolder folder, string body)
    {
        string path = Path.Combine(folder.Path, "hook");
        File.WriteAllText(path, $"#!/bin/sh\n{body}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }

    private static async Task<List<Notice>> ToldAsync(string path, int count)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (true)
        {
            string[] lines = File.Exists(path) ? File.ReadAllText(path).Split('\n', StringSplitOptions.RemoveEmptyEntries) : [];
            if (lines.Length >= count)
                return [.. lines.Select(line => JsonSerializer.Deserialize<Notice>(line, ApiJson.Options)!)];
            await Task.Delay(10, limit.Token);
        }
    }

    private static async Task<Notice> FindAsync(TestNode node, NoticeKind kind) => (await EntryAsync(node, entry => entry.Notice.Kind == kind)).Notice;

    private static async Task<NoticeEntry> EntryAsync(TestNode node, Func<NoticeEntry, bool> wanted)
    {
        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (true)
        {
            if (node.Journal!.RecentNotices(50).FirstOrDefault(wanted) is { } found)
                return found;
            await Task.Delay(10, limit.Token);
        }
    }

    private static HttpListener Listen(out string url)
    {
        using System.Net.Sockets.TcpListener free = new(IPAddress.Loopback, 0);
        free.Start();
        url = $"http://127.0.0.1:{((IPEndPoint)free.LocalEndpoint).Port}/";
        free.Stop();
        HttpListener listener = new();
        listener.Prefixes.Add(url);
        listener.Start();
        return listener;
    }

    private static async Task<Notice> AnswerAsync(HttpListener listener, int status)
    {
        HttpListenerContext context = await listener.GetContextAsync().WaitAsync(TestLimits.Hang);
        Notice notice = (await JsonSerializer.DeserializeAsync<Notice>(context.Request.InputStream, ApiJson.Options))!;
        context.Response.StatusCode = status;
        context.Response.Close();
        return notice;
    }
}
