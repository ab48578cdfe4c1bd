using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.AgentApi;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Evacuator.Placement;
using Evacuator.Testing;
using Evacuator.Tests.Fakes;

namespace Evacuator.Tests.Evacuation;

/// <summary>What comes out when the world around a node is not as it should be: its disk, its clock, its peers.</summary>
public sealed class MisfortuneTests
{
    [RootTheory]
    [InlineData("full")]
    [InlineData("read-only")]
    public async Task Disk_FailsInTheMiddle_TheEvacuationIsDoneFromMemoryAndTheDiskGetsItLater(string how)
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        await node.StopAsync();
        Directory.Delete(node.StateDirectory, recursive: true);
        using SmallDisk disk = new(node.StateDirectory);
        await node.StartAsync();
        for (int i = 1; i <= 3; i++)
            node.Agent.Containers[$"c{i}"] = FakeRack.Container($"c{i}");
        node.Agent.Hold = move => move.Phase == SourcePhase.Copying;
        Guid id = (await node.EvacuateAsync()).Id;
        await node.WaitAsync(id, report => report.Containers.Count(move => move.Step == SourcePhase.Copying) == 3);

        if (how == "full")
            disk.Fill();
        else
            disk.MakeReadOnly();
        node.Agent.Hold = _ => false;
        EvacuationReport report = await node.WaitForEndAsync(id);
        Assert.Equal(EvacuationPhase.Done, report.State);
        if (how == "read-only")
            Assert.Contains("survives a restart of the service, not of the host", Assert.Single(node.Journal!.Notices), StringComparison.Ordinal);

        // The service is restarted on the disk as it is, and on the repaired one.
        await node.RestartAsync();
        Assert.Equal(EvacuationPhase.Done, (await node.ReportAsync(id)).State);
        await node.StopAsync();
        disk.Repair();
        await node.StartAsync();
        Assert.Equal(EvacuationPhase.Done, (await node.ReportAsync(id)).State);
        Assert.Empty(node.Journal!.Notices);
        Assert.StartsWith(node.StateDirectory, node.Journal.Path, StringComparison.Ordinal);
        await node.StopAsync();
    }

    /// <summary>A file where the folder should be: nothing can be written there, and after the reboot memory is empty, too.</summary>
    [Fact]
    public async Task Disk_CannotBeWritten_APeerHasTheJournalAndTheRebootedNodeTakesItBack()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        TestNode node = fleet["node1"];
        await node.StopAsync();
        Directory.Delete(node.StateDirectory, recursive: true);
        node.StateDirectory = Path.Combine(node.StateDirectory + ".broken", "state");
        Directory.CreateDirectory(Path.GetDirectoryName(node.StateDirectory)!);
        File.WriteAllText(node.StateDirectory, "");
        node.TakesBackItsJournal = true;
        await node.StartAsync();
        Assert.True(node.Journal!.IsFallback);
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        node.Agent.Containers["c2"] = FakeRack.Container("c2");
        EvacuationReport report = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);
        Assert.Equal(EvacuationPhase.Done, report.State);
        using CancellationTokenSource limit = new(TestLimits.Hang);
        while (fleet["node2"].Service<JournalCopies>().Find("node1") is not { } copy || copy.Evacuations is not [{ Phase: EvacuationPhase.Done }])
            await Task.Delay(5, limit.Token);

        await node.RebootAsync();
        Assert.Contains(node.Journal!.Notices, notice => notice.Contains("taken back from the copy at node2", StringComparison.Ordinal));
        EvacuationReport again = await node.ReportAsync(report.Id);
        Assert.Equal((EvacuationPhase.Done, report.Started), (again.State, again.Started));
        Assert.Equal(report.Containers.Select(move => (move.Name, move.To, move.State)), again.Containers.Select(move => (move.Name, move.To, move.State)));
        // Emptied and closed it was, emptied and closed it is.
        Assert.NotNull(node.Service<Admission>().Closed);
        Assert.DoesNotContain(fleet["node2"].Service<JournalCopies>().Find("node1")!.Moves, move => move.Token is not null);
        // It gives a copy to nobody but its owner.
        Assert.Null(fleet["node2"].Service<JournalCopies>().Find("node3"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(-1)]
    public async Task Clock_JumpsByAnHourWhileContainersMove_IsDoneAllTheSame(int hours)
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        JumpingTime clock = new();
        foreach (string name in (string[])["node1", "node2", "node3"])
        {
            await fleet[name].StopAsync();
            fleet[name].Clock = clock;
            await fleet[name].StartAsync();
        }

        TestNode node = fleet["node1"];
        for (int i = 1; i <= 4; i++)
            node.Agent.Containers[$"c{i}"] = FakeRack.Container($"c{i}");
        bool jumped = false;
        node.Agent.Hold = move =>
        {
            if (move.Phase == SourcePhase.Copying && !jumped)
            {
                jumped = true;
                clock.Jump(TimeSpan.FromHours(hours));
            }

            return false;
        };
        EvacuationReport report = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);

        Assert.True(jumped);
        Assert.Equal(EvacuationPhase.Done, report.State);
        Assert.All(report.Containers, move => Assert.Equal(MovePhase.Moved, move.State));
        Assert.All(fleet.Rack.Agents.Values, agent => Assert.Equal(0, agent.OpenReservations));
        // What is told of how long it took is off by the jump at worst, and never negative.
        Assert.True(report.TotalSeconds >= 0, $"{report.TotalSeconds} s");
    }

    /// <summary>A host that takes its time to go down, and a witness whose clock is set meanwhile.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(-1)]
    public async Task Clock_OfTheWitnessJumpsByAnHour_NothingIsForcedEarlyAndItWatchesOn(int hours)
    {
        await using TestFleet fleet = await TestFleet.StartAsync(nodes: 2);
        JumpingTime clock = new();
        await fleet["node2"].StopAsync();
        fleet["node2"].Clock = clock;
        await fleet["node2"].StartAsync();
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        fleet.Bmc("node1").Hangs = true;
        Guid id = (await node.EvacuateAsync(powerOff: true, forceAfterSeconds: 1800)).Id;
        await node.WaitAsync(id, report => report.State == EvacuationPhase.PoweringOff);
        clock.Jump(TimeSpan.FromHours(hours));
        // It has looked again since, several times.
        DateTimeOffset? read = fleet["node2"].Journal!.Witness(id)!.LastRead;
        using CancellationTokenSource limit = new(TestLimits.Hang);
        for (int looks = 0; looks < 3; looks++)
        {
            DateTimeOffset? before = (await fleet["node2"].ReportAsync(id)).Waiting?.Since;
            Assert.NotNull(before);
            await Task.Delay(fleet["node2"].Options.Power.VerifyInterval * 5, limit.Token);
        }

        Assert.Equal(0, fleet.Bmc("node1").Forced);
        Assert.Equal(WitnessPhase.Watching, fleet["node2"].Journal!.Witness(id)!.Phase);
        fleet.Bmc("node1").Power = "Off";
        EvacuationReport report = await fleet["node2"].WaitForEndAsync(id);
        Assert.Equal((EvacuationPhase.Done, "node2", false), (report.State, report.Power.VerifiedBy, report.Power.Forced));
    }

    [Fact]
    public async Task Peer_NeverAnswers_CostsItsTimeLimitAndIsLeftOut()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(timings: same => same with { PeerAnswer = TimeSpan.FromSeconds(2) });
        await fleet["node2"].StopAsync();
        using TcpListener silent = new(IPAddress.Parse("127.0.0.2"), fleet["node2"].Options.Fleet.BrainPort);
        silent.Start();
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        EvacuationReport report = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);

        Assert.Equal((EvacuationPhase.Done, "node3"), (report.State, report.Containers[0].To));
        ExcludedPeer left = Assert.Single(report.ExcludedPeers);
        Assert.Equal(("node2", BlockerCode.PeerUnreachable), (left.Name, left.Code));
        Assert.Contains("did not answer", left.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Peer_AnswersAByteNowAndThen_CostsItsTimeLimitAndIsLeftOut()
    {
        await using TestFleet fleet = await TestFleet.StartAsync(timings: same => same with { PeerAnswer = TimeSpan.FromMilliseconds(500) });
        using X509Certificate2 own = fleet["node2"].BrainCertificate();
        await fleet["node2"].StopAsync();
        await using Impostor slow = new("127.0.0.2", fleet["node2"].Options.Fleet.BrainPort, own, async (stream, token) =>
        {
            await stream.WriteAsync("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"u8.ToArray(), token);
            while (true)
            {
                await Task.Delay(20, token);
                await stream.WriteAsync(" "u8.ToArray(), token);
            }
        });
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        EvacuationReport report = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);

        Assert.Equal((EvacuationPhase.Done, "node3"), (report.State, report.Containers[0].To));
        Assert.Contains("did not answer", Assert.Single(report.ExcludedPeers).Reason, StringComparison.Ordinal);
        Assert.True(slow.Spoken > 0);
    }

    /// <summary>Somebody else has the peer's address: no certificate of this fleet, or that of another of its nodes.</summary>
    [Theory]
    [InlineData("of nobody", "certificate")]
    [InlineData("of node3", "expected node2, but node3 answered")]
    public async Task Peer_WithAWrongCertificate_GetsNothingAndIsNamed(string whose, string says)
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        using X509Certificate2 wrong = whose == "of nobody" ? SelfSigned("node2") : fleet["node3"].BrainCertificate();
        await fleet["node2"].StopAsync();
        await using Impostor impostor = new("127.0.0.2", fleet["node2"].Options.Fleet.BrainPort, wrong, (_, _) => Task.CompletedTask);
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        EvacuationReport report = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);

        Assert.Equal((EvacuationPhase.Done, "node3"), (report.State, report.Containers[0].To));
        ExcludedPeer left = Assert.Single(report.ExcludedPeers);
        Assert.Equal(("node2", BlockerCode.PeerUnreachable), (left.Name, left.Code));
        Assert.Contains(says, left.Reason, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(0, impostor.Spoken);
    }

    /// <summary>It says that it has room without end; its agent knows better when it comes to it.</summary>
    [Fact]
    public async Task Peer_LiesAboutItsMemory_IsFoundOutAtTheReservationAndAnotherTakesIt()
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        (fleet["node2"].Agent.MemoryTotal, fleet["node2"].Agent.MemoryAvailable) = (long.MaxValue, long.MaxValue);
        fleet["node2"].Agent.Refuses = _ => new Blocker(BlockerCode.NotEnoughMemory, "node2 has 12 MiB left");
        TestNode node = fleet["node1"];
        for (int i = 1; i <= 3; i++)
            node.Agent.Containers[$"c{i}"] = FakeRack.Container($"c{i}", 1L << 30);
        EvacuationReport report = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);

        Assert.Equal(EvacuationPhase.Done, report.State);
        Assert.All(report.Containers, move =>
        {
            Assert.Equal("node3", move.To);
            Attempt refused = Assert.Single(move.Refusals);
            Assert.Equal(("node2", BlockerCode.NotEnoughMemory), (refused.Peer, refused.Blockers[0].Code));
        });
    }

    /// <summary>Numbers that cannot be: they count as no room, and nobody else suffers from them.</summary>
    [Theory]
    [InlineData(-1, -1)]
    [InlineData(long.MinValue, long.MaxValue)]
    [InlineData(0, long.MaxValue)]
    public async Task Peer_TellsNumbersThatCannotBe_GetsNothing(long total, long available)
    {
        await using TestFleet fleet = await TestFleet.StartAsync();
        (fleet["node2"].Agent.MemoryTotal, fleet["node2"].Agent.MemoryAvailable) = (total, available);
        TestNode node = fleet["node1"];
        node.Agent.Containers["c1"] = FakeRack.Container("c1");
        EvacuationReport report = await node.WaitForEndAsync((await node.EvacuateAsync()).Id);

        Assert.Equal((EvacuationPhase.Done, "node3"), (report.State, report.Containers[0].To));
        Assert.Empty(report.Containers[0].Refusals);
    }

    private static X509Certificate2 SelfSigned(string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new($"CN={name}", key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
    }

    /// <summary>Speaks TLS at a peer's address with the certificate it is given, asks for none, and answers whatever is asked in its own way.</summary>
    private sealed class Impostor : IAsyncDisposable
    {
        private readonly TcpListener _listener;
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _loop;
        private int _spoken;

        public Impostor(string address, int port, X509Certificate2 certificate, Func<SslStream, CancellationToken, Task> answer)
        {
            _listener = new TcpListener(IPAddress.Parse(address), port);
            _listener.Start();
            _loop = Task.Run(async () =>
            {
                List<Task> connections = [];
                try
                {
                    while (true)
                        connections.Add(ServeAsync(await _listener.AcceptTcpClientAsync(_stop.Token), certificate, answer));
                }
                catch (OperationCanceledException)
                {
                    await Task.WhenAll(connections);
                }
            });
        }

        /// <summary>Requests that somebody trusted it with.</summary>
        public int Spoken => Volatile.Read(ref _spoken);

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _loop;
            _listener.Dispose();
            _stop.Dispose();
        }

        private async Task ServeAsync(TcpClient client, X509Certificate2 certificate, Func<SslStream, CancellationToken, Task> answer)
        {
            using (client)
            {
                try
                {
                    await using SslStream stream = new(client.GetStream());
                    await stream.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = certificate }, _stop.Token);
                    if (await stream.ReadAsync(new byte[1], _stop.Token) == 0)
                        return;
                    Interlocked.Increment(ref _spoken);
                    await answer(stream, _stop.Token);
                }
                catch (Exception e) when (e is IOException or OperationCanceledException or AuthenticationException or SocketException)
                {
                    // The caller hangs up.
                }
            }
        }
    }
}
