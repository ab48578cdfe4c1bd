using System.Collections.Concurrent;
using System.Net;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Fleet.Etcd;
using Evacuator.Fleet.Locks;
using Evacuator.Journal;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Evacuator.Tests.Fleet;

/// <summary>The client and the lock alone, many of them on one etcd.</summary>
public sealed class EtcdFleetLockTests
{
    [EtcdFact]
    public async Task ManyNodes_WhileEtcdIsKilledAndStalled_NeverMoreThanTheLimitsAndEveryoneGetsItsTurn()
    {
        using TemporaryFolder folder = new();
        await using EtcdServer etcd = await EtcdServer.StartAsync(Path.Combine(folder.Path, "etcd"));
        const int Nodes = 9, Rounds = 2, Limit = 3, PerZone = 2;
        ConcurrentDictionary<string, string> outside = new();
        int granted = 0;
        object counting = new();
        List<string> broken = [];
        using CancellationTokenSource hang = new(TestLimits.Hang);
        Task[] nodes = [.. Enumerable.Range(0, Nodes).Select(async number =>
        {
            string name = $"node{number}";
            string zone = $"zone{number % 3}";
            using LockNode node = new(etcd, name, zone, Limit, PerZone);
            for (int round = 0; round < Rounds; round++)
            {
                EvacuationState evacuation = Evacuation(name);
                await node.Lock.AcquireAsync(evacuation, _ => { }, hang.Token);
                lock (counting)
                {
                    outside[name] = zone;
                    granted++;
                    if (outside.Count > Limit || outside.Values.Count(other => other == zone) > PerZone)
                        broken.Add($"{string.Join(", ", outside)}");
                }

                // Kept, as the service does every few seconds, also while etcd is away.
                for (int i = 0; i < 3; i++)
                    await node.Lock.KeepAsync(() => new SlotHolding(evacuation, Asking: false), hang.Token);
                lock (counting)
                    outside.TryRemove(name, out _);
                while (await node.HasSlotAsync(hang.Token))
                    await node.Lock.KeepAsync(() => new SlotHolding(null, Asking: false), hang.Token);
            }
        })];
        // Meanwhile etcd is killed and started again with its data, and stalls: each after some more have had their turn.
        for (int disturbance = 0; disturbance < 4; disturbance++)
        {
            int until = (disturbance + 1) * Nodes * Rounds / 6;
            while (Volatile.Read(ref granted) < until)
                await Task.Delay(5, hang.Token);
            if (disturbance % 2 == 0)
            {
                await etcd.KillAsync();
                await etcd.StartAsync();
            }
            else
            {
                etcd.Stall();
                await Task.Delay(600, hang.Token);
                etcd.Resume();
            }
        }

        await Task.WhenAll(nodes);
        Assert.Empty(broken);
        Assert.Equal(Nodes * Rounds, granted);
    }

    [EtcdFact]
    public async Task FailingHardware_GoesBeforeWhoeverAskedEarlier()
    {
        using TemporaryFolder folder = new();
        await using EtcdServer etcd = await EtcdServer.StartAsync(Path.Combine(folder.Path, "etcd"));
        using CancellationTokenSource hang = new(TestLimits.Hang);
        using LockNode holder = new(etcd, "node0", "", 1, 0), planned = new(etcd, "node1", "", 1, 0), failing = new(etcd, "node2", "", 1, 0);
        await holder.Lock.AcquireAsync(Evacuation("node0"), _ => { }, hang.Token);
        EvacuationState first = Evacuation("node1"), urgent = Evacuation("node2", TriggerKind.Signal) with { Started = first.Started.AddHours(1) };
        Task waits = planned.Lock.AcquireAsync(first, _ => { }, hang.Token);
        Task waitsToo = failing.Lock.AcquireAsync(urgent, _ => { }, hang.Token);
        while ((await holder.Lock.LookAsync(hang.Token)).Picture.Asks.Count < 2)
            await Task.Delay(5, hang.Token);
        await holder.Lock.KeepAsync(() => new SlotHolding(null, Asking: false), hang.Token);

        Assert.Same(waitsToo, await Task.WhenAny(waits, waitsToo));
        await failing.Lock.KeepAsync(() => new SlotHolding(null, Asking: false), hang.Token);
        await waits;
    }

    /// <summary>What a thousand nodes do every few seconds must not grow with the fleet.</summary>
    [EtcdFact]
    public async Task Waiting_WhileAllPlacesAreTaken_OnlyCounts_AndTellsWhoIsOut()
    {
        using TemporaryFolder folder = new();
        await using EtcdServer etcd = await EtcdServer.StartAsync(Path.Combine(folder.Path, "etcd"));
        using CancellationTokenSource hang = new(TestLimits.Hang);
        using LockNode holder = new(etcd, "node0", "", 1, 0);
        EvacuationState held = Evacuation("node0");
        await holder.Lock.AcquireAsync(held, _ => { }, hang.Token);
        int glances = 0, whole = 0;
        string said = "";
        using LockNode waits = new(etcd, "node1", "", 1, 0, inner => new AfterHandler(inner, (_, body) =>
        {
            Interlocked.Increment(ref glances);
            if (body.Contains(Convert.ToBase64String("/test/hosts/"u8), StringComparison.Ordinal))
                Interlocked.Increment(ref whole);
        }));
        Task acquired = waits.Lock.AcquireAsync(Evacuation("node1"), waiting => Volatile.Write(ref said, waiting?.For ?? ""), hang.Token);
        while (Volatile.Read(ref glances) < 10)
            await Task.Delay(5, hang.Token);
        Assert.Equal(0, Volatile.Read(ref whole));
        Assert.Contains("node0 is being emptied, and at most 1 may be at once ([fleet] max-emptied)", Volatile.Read(ref said), StringComparison.Ordinal);

        await holder.Lock.KeepAsync(() => new SlotHolding(null, Asking: false), hang.Token);
        await acquired;
        Assert.InRange(Volatile.Read(ref whole), 1, 3);
    }

    [EtcdFact]
    public async Task ThoseThatGoFirst_CannotBegin_DoNotHoldUpOneThatCan()
    {
        using TemporaryFolder folder = new();
        await using EtcdServer etcd = await EtcdServer.StartAsync(Path.Combine(folder.Path, "etcd"));
        using CancellationTokenSource hang = new(TestLimits.Hang);
        using LockNode holder = new(etcd, "node0", "a", 2, 1), first = new(etcd, "node1", "a", 2, 1), second = new(etcd, "node2", "a", 2, 1), other = new(etcd, "node3", "b", 2, 1);
        await holder.Lock.AcquireAsync(Evacuation("node0"), _ => { }, hang.Token);
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(hang.Token);
        // Both are before it, and their zone is full; there is one place more.
        Task[] full = [first.Lock.AcquireAsync(Evacuation("node1"), _ => { }, stop.Token), second.Lock.AcquireAsync(Evacuation("node2"), _ => { }, stop.Token)];
        while ((await holder.Lock.LookAsync(hang.Token)).Picture.Asks.Count < 2)
            await Task.Delay(5, hang.Token);
        await other.Lock.AcquireAsync(Evacuation("node3"), _ => { }, hang.Token);

        Assert.All(full, task => Assert.False(task.IsCompleted));
        Assert.Equal(["node0", "node3"], (await holder.Lock.LookAsync(hang.Token)).Picture.Slots.Select(slot => slot.Node));
        await stop.CancelAsync();
        await Task.WhenAll(full.Select(task => Assert.ThrowsAnyAsync<OperationCanceledException>(() => task)));
    }

    [EtcdFact]
    public async Task Mirror_KeysThatChangeVanishAndComeBack_IsWhatIsThere()
    {
        using TemporaryFolder folder = new();
        await using EtcdServer etcd = await EtcdServer.StartAsync(Path.Combine(folder.Path, "etcd"));
        int read = 0;
        using EtcdTls tls = TlsOf(etcd);
        using EtcdClient client = new([etcd.Endpoint], tls.Handler(), TimeSpan.FromSeconds(10), TimeProvider.System);
        EtcdMirror<string> mirror = new("/m/", pair =>
        {
            read++;
            return pair.Value.Length == 0 ? null : System.Text.Encoding.UTF8.GetString(pair.Value);
        }, TimeProvider.System);
        for (int i = 0; i < 50; i++)
            await PutAsync($"/m/{i:00}", "old");
        Assert.Equal(50, (await LookAsync()).Count);
        Assert.Equal(50, read);

        // Only what has changed is read again.
        await PutAsync("/m/07", "new");
        await PutAsync("/m/50", "more");
        await PutAsync("/other", "no matter");
        Assert.Equal(51, (await LookAsync()).Count);
        Assert.Equal(52, read);
        Assert.Single(await LookAsync(), value => value == "new");
        Assert.Equal(52, read);

        // One vanishes and another comes: as many as before, and not the same.
        await client.DeleteAsync("/m/07"u8.ToArray(), default);
        await PutAsync("/m/51", "newest");
        IReadOnlyCollection<string> now = await LookAsync();
        Assert.Equal(51, now.Count);
        Assert.DoesNotContain("new", now);
        Assert.Contains("newest", now);

        // A key without a value of use counts, and is not told.
        await PutAsync("/m/00", "");
        Assert.Equal(50, (await LookAsync()).Count);

        Task PutAsync(string key, string value) => client.PutAsync(EtcdKeys.Bytes(key), EtcdKeys.Bytes(value), 0, default);

        async Task<IReadOnlyCollection<string>> LookAsync()
        {
            EtcdMirror<string>.Known? known = mirror.Base;
            while (true)
            {
                EtcdTxnResponse look = await client.ReadAsync([mirror.Question(known)], default);
                if (mirror.Take(known, look.Header, look.Range(0)) is { } values)
                    return values;
                Assert.NotNull(known);
                known = null;
            }
        }
    }

    [EtcdFact]
    public async Task LostAnswer_OfTheTransactionThatTookThePlace_IsFoundOut()
    {
        using TemporaryFolder folder = new();
        await using EtcdServer etcd = await EtcdServer.StartAsync(Path.Combine(folder.Path, "etcd"));
        bool lose = true;
        using LockNode node = new(etcd, "node0", "", 1, 0, inner => new AfterHandler(inner, (path, body) =>
        {
            // The transaction is done, its answer never arrives.
            if (!path.EndsWith("/txn", StringComparison.Ordinal) || !body.Contains("request_put", StringComparison.Ordinal) || !lose)
                return;
            lose = false;
            throw new HttpRequestException(HttpRequestError.ResponseEnded, "lost");
        }));
        List<string> said = [];
        await node.Lock.AcquireAsync(Evacuation("node0"), waiting => said.Add(waiting?.For ?? ""), default);

        Assert.False(lose);
        Assert.Contains(said, text => text.Contains("lost", StringComparison.Ordinal));
        Assert.Single((await node.Lock.LookAsync(default)).Picture.Slots);
        Assert.Empty((await node.Lock.LookAsync(default)).Picture.Asks);
    }

    [EtcdFact]
    public async Task Client_FirstMemberDown_TheNextIsAskedAndRemembered_AndAnUncertainWriteIsNotRepeated()
    {
        using TemporaryFolder folder = new();
        await using EtcdServer etcd = await EtcdServer.StartAsync(Path.Combine(folder.Path, "etcd"));
        List<string> asked = [];
        bool lose = false;
        using EtcdTls tls = TlsOf(etcd);
        using EtcdClient client = new([$"https://127.0.0.1:{EtcdServer.FreePort()}", etcd.Endpoint, etcd.Endpoint.Replace("127.0.0.1", "localhost", StringComparison.Ordinal)],
            new AfterHandler(tls.Handler(), (path, _) =>
            {
                asked.Add(path);
                if (lose)
                    throw new HttpRequestException(HttpRequestError.ResponseEnded, "lost");
            }), TimeSpan.FromSeconds(5), TimeProvider.System);
        // Nothing was sent to the first, so the second gets it: also what writes.
        await client.PutAsync("/t/a"u8.ToArray(), "1"u8.ToArray(), 0, default);
        Assert.True(client.Standing.Answers);
        Assert.Single((await client.RangeAllAsync("/t/", default)).Pairs);

        lose = true;
        asked.Clear();
        EtcdException lost = await Assert.ThrowsAsync<EtcdException>(() => client.PutAsync("/t/b"u8.ToArray(), "1"u8.ToArray(), 0, default));
        Assert.False(lost.IsCertain);
        Assert.Single(asked);
        Assert.False(client.Standing.Answers);
    }

    [EtcdFact]
    public async Task Client_ManyKeys_AreReadInPagesOfOneRevision_AndAWrongAuthorityIsNamed()
    {
        using TemporaryFolder folder = new();
        await using EtcdServer etcd = await EtcdServer.StartAsync(Path.Combine(folder.Path, "etcd"));
        using EtcdTls tls = TlsOf(etcd);
        using EtcdClient client = new([etcd.Endpoint], tls.Handler(), TimeSpan.FromSeconds(10), TimeProvider.System);
        for (int page = 0; page < 21; page++)
        {
            await client.TxnAsync(new EtcdTxnRequest
            {
                Success = [.. Enumerable.Range(0, 100).Select(number => EtcdOperation.Put(EtcdKeys.Bytes($"/many/{page:D2}{number:D2}"), EtcdKeys.Bytes("x")))],
            }, default);
        }

        EtcdSnapshot all = await client.RangeAllAsync("/many/", default);
        Assert.Equal(2100, all.Pairs.Select(pair => EtcdKeys.NameOf(pair)).Distinct().Count());

        await using EtcdServer other = await EtcdServer.StartAsync(Path.Combine(folder.Path, "other"));
        using EtcdClient wrong = new([other.Endpoint], tls.Handler(), TimeSpan.FromSeconds(10), TimeProvider.System);
        EtcdException refused = await Assert.ThrowsAsync<EtcdException>(() => wrong.RangeAllAsync("/many/", default));
        Assert.Contains("etcd-ca", refused.Message, StringComparison.Ordinal);
        Assert.False(wrong.Standing.Answers);
    }

    [Fact]
    public async Task Client_AnswerWithoutEnd_IsCutOff()
    {
        using EtcdClient client = new(["https://127.0.0.1:1"], new EndlessHandler(), TimeSpan.FromSeconds(30), TimeProvider.System);

        await Assert.ThrowsAsync<EtcdException>(() => client.RangeAllAsync("/", default));
    }

    private static EvacuationState Evacuation(string node, TriggerKind kind = TriggerKind.Operator) => new()
    {
        Id = Guid.NewGuid(),
        Node = node,
        BootId = "boot",
        Trigger = new Trigger { Kind = kind, Key = Guid.NewGuid().ToString(), Reason = "test", RequestedBy = "root" },
        Phase = EvacuationPhase.Closing,
        Started = TimeProvider.System.GetUtcNow(),
        Updated = TimeProvider.System.GetUtcNow(),
    };

    private static EtcdTls TlsOf(EtcdServer etcd) => EtcdTls.Load(OptionsOf(etcd)).Value!;

    private static FleetOptions OptionsOf(EtcdServer etcd) => new()
    {
        Store = FleetStore.Etcd,
        EtcdEndpoints = [etcd.Endpoint],
        EtcdCa = etcd.CaFile,
        EtcdCertificate = etcd.ClientCertificateFile,
        EtcdKey = etcd.ClientKeyFile,
    };

    /// <summary>A node's part of the lock, without the rest of it.</summary>
    private sealed class LockNode : IDisposable
    {
        /// <summary>The same for all: whoever reckons with another fleet decides otherwise.</summary>
        private static readonly string[] Names = [.. Enumerable.Range(0, 9).Select(number => $"node{number}")];

        private readonly EtcdTls _tls;
        private readonly EtcdFleet _fleet;

        public LockNode(EtcdServer etcd, string name, string zone, int limit, int perZone, Func<HttpMessageHandler, HttpMessageHandler>? wrap = null)
        {
            EvacuatorOptions options = new()
            {
                Node = new NodeOptions { Name = name, Zone = zone },
                Fleet = OptionsOf(etcd) with { MaxEmptied = limit, MaxEmptiedPerZone = perZone },
                Signals = new SignalOptions { FleetSharePercent = 100 },
            };
            BrainTimings timings = new() { LockPoll = TimeSpan.FromMilliseconds(20), EtcdLimit = TimeSpan.FromSeconds(2), EtcdLease = TimeSpan.FromSeconds(20) };
            _tls = TlsOf(etcd);
            EtcdClient client = new([etcd.Endpoint], wrap?.Invoke(_tls.Handler()) ?? _tls.Handler(), timings.EtcdLimit, TimeProvider.System);
            _fleet = new EtcdFleet(client, new EtcdSession(client, timings.EtcdLease, TimeProvider.System), new EtcdKeys("/test"), name, () => Names);
            Lock = new EtcdFleetLock(_fleet, options, timings, TimeProvider.System, NullLogger<EtcdFleetLock>.Instance);
        }

        public EtcdFleetLock Lock { get; }

        public async Task<bool> HasSlotAsync(CancellationToken token)
        {
            try
            {
                return (await _fleet.Client.RangeAsync(new EtcdRangeRequest { Key = _fleet.Keys.Slot(_fleet.Node) }, token)).Kvs.Count > 0;
            }
            catch (EtcdException)
            {
                return true;
            }
        }

        public void Dispose()
        {
            _fleet.Session.Dispose();
            _fleet.Client.Dispose();
            _tls.Dispose();
        }
    }

    /// <summary>Does something, such as failing, after the answer has come.</summary>
    private sealed class AfterHandler(HttpMessageHandler inner, Action<string, string> after) : DelegatingHandler(inner)
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            string body = await request.Content!.ReadAsStringAsync(cancellationToken);
            HttpResponseMessage response = await base.SendAsync(request, cancellationToken);
            after(request.RequestUri!.AbsolutePath, body);
            return response;
        }
    }

    private sealed class EndlessHandler : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            Task.FromResult(new HttpResponseMessage(HttpStatusCode.OK) { Content = new StreamContent(new EndlessStream()) });
    }

    private sealed class EndlessStream : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count)
        {
            Array.Fill(buffer, (byte)'[', offset, count);
            return count;
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
