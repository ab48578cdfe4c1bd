using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Evacuator.NodeAgent.Memory;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Transfer;
using Microsoft.Extensions.Logging.Abstractions;

namespace Evacuator.Bench;

/// <summary>Single parts of the engine on this machine, without a rack: one connection, and the filling of memory that waits for its pages.</summary>
internal static class EngineBench
{
    private const int Mebibytes = 1024;
    private const ulong PageBytes = 4096;

    public static async Task<int> PrintAsync(string name, Func<Task<IReadOnlyDictionary<string, double>>> measure)
    {
        Console.WriteLine(JsonSerializer.Serialize(new Dictionary<string, object> { [name] = await measure() }));
        return 0;
    }

    /// <summary>
    /// The same gigabyte over one TLS 1.3 connection on loopback: as bytes from one array through a pair of SslStream, and as the memory of a running process, tracked, read,
    /// sent by an agent's client to an agent's listener, checked and stored. Of four times each the best, in turn: the two are compared, and neither should have the machine's bad moment, nor pay for the compiler.
    /// </summary>
    public static async Task<IReadOnlyDictionary<string, double>> WireAsync()
    {
        using HelperProgram writer = await HelperProgram.StartAsync("writer", $"{Mebibytes}", "1");
        double bare = 0, engine = 0, bareWork = double.MaxValue, engineWork = double.MaxValue;
        for (int turn = 0; turn < 4; turn++)
        {
            (double speed, double work) = await WorkOfAsync(BareAsync);
            (bare, bareWork) = (Math.Max(bare, speed), Math.Min(bareWork, work));
            (speed, work) = await WorkOfAsync(() => EngineAsync(writer.Pid));
            (engine, engineWork) = (Math.Max(engine, speed), Math.Min(engineWork, work));
        }
        // Both ends together. Where the processors are all busy, the speeds are as these.
        return new Dictionary<string, double>
        {
            ["engine_mb_s"] = engine, ["sslstream_mb_s"] = bare, ["ratio_pct"] = engine / bare * 100,
            ["engine_cpu_s_gb"] = engineWork, ["sslstream_cpu_s_gb"] = bareWork,
        };
    }

    /// <returns>MB/s, and seconds of processor time of this process for each GB</returns>
    private static async Task<(double Speed, double Work)> WorkOfAsync(Func<Task<double>> send)
    {
        TimeSpan before = Environment.CpuUsage.TotalTime;
        double speed = await send();
        return (speed, (Environment.CpuUsage.TotalTime - before).TotalSeconds / (((long)Mebibytes << 20) / 1e9));
    }

    /// <summary>A gigabyte filled in behind a userfaultfd, as after a restore, while the process touches pages at random.</summary>
    public static async Task<IReadOnlyDictionary<string, double>> FillAsync()
    {
        string directory = Directory.CreateTempSubdirectory("evacuator-fill").FullName;
        try
        {
            using HelperProgram faulter = await HelperProgram.StartAsync("faulter", Path.Combine(directory, "lazy-pages.socket"), $"{Mebibytes}");
            ProcessPages pages = ProcessPages.Create(1);
            Store(pages, faulter.First, Mebibytes * 256);
            using LazySession session = LazySession.Listen(
                new Dictionary<int, ProcessPages> { [1] = pages }, directory, TimeProvider.System, NullLogger.Instance, fatal => Environment.FailFast("the fill failed", fatal));
            await faulter.Input.WriteLineAsync("go");
            await faulter.Input.FlushAsync();
            await session.Restored.WaitAsync(TimeSpan.FromMinutes(2));
            session.BeginFill();
            FillReport report = await session.Filled.WaitAsync(TimeSpan.FromMinutes(2));
            await faulter.Input.WriteLineAsync("filled");
            await faulter.Input.FlushAsync();
            // "faults 900 p50 12000 p99 90000 bad 0"
            string[] words = (await faulter.LineAsync()).Split(' ');
            double Of(string name) => double.Parse(words[Array.IndexOf(words, name) + 1], CultureInfo.InvariantCulture);
            if (Of("bad") > 0)
                throw new InvalidOperationException($"{Of("bad")} pages were filled wrong");
            return new Dictionary<string, double>
            {
                ["mb_s"] = Mebibytes * 1048.576 / report.Milliseconds,
                ["fault_p50_us"] = Of("p50") / 1e3, ["fault_p99_us"] = Of("p99") / 1e3, ["faults"] = Of("faults"),
            };
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>Each page begins with its number.</summary>
    private static unsafe void Store(ProcessPages pages, ulong start, int count)
    {
        for (int page = 0; page < count; page++)
        {
            (nint bytes, int region, int at, int length) = pages.Place(start + (ulong)page * PageBytes, PageBytes);
            if (at == 0)
                _ = pages.MakeWhole(region, TimeProvider.System);
            new Span<byte>((void*)bytes, length).Fill(0x5a);
            *(ulong*)bytes = (ulong)page + 1;
            pages.Keep(region, at, length);
        }
    }

    private static async Task<double> BareAsync()
    {
        (SslStream source, SslStream destination) = await ConnectAsync();
        await using (source)
        await using (destination)
        {
            byte[] data = RandomNumberGenerator.GetBytes(1 << 20), received = new byte[1 << 20];
            long start = Stopwatch.GetTimestamp();
            Task reading = Task.Run(async () =>
            {
                for (long left = (long)Mebibytes << 20; left > 0;)
                    left -= await destination.ReadAsync(received);
            });
            for (int i = 0; i < Mebibytes; i++)
                await source.WriteAsync(data);
            await reading;
            return ((long)Mebibytes << 20) / 1e6 / Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
    }

    private static async Task<double> EngineAsync(int pid)
    {
        Dictionary<int, ProcessPages> stores = [];
        await using LoopbackPeer peer = await LoopbackPeer.StartAsync(stream => new PageReceiver(stores, 4L << 30).ReceiveAsync(stream, CancellationToken.None));
        using ContainerTracker tracker = await ContainerTracker.AttachAsync(() => [pid], MemoryFeatures.Probe(), TimeProvider.System);
        IReadOnlyList<Stream> lanes = await peer.Client.OpenPagesAsync(1, CancellationToken.None);
        long sent, start = Stopwatch.GetTimestamp();
        double seconds;
        await using (PageSender sender = new(lanes))
        {
            await foreach (PageBatch batch in tracker.RoundAsync(CancellationToken.None))
                await sender.SendAsync(batch, CancellationToken.None);
            await sender.EndRoundAsync(CancellationToken.None);
            sent = sender.BytesSent;
            seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        await peer.Received;
        foreach (ProcessPages store in stores.Values)
            store.Dispose();
        if (tracker.Processes.FirstOrDefault(process => process.WhyUntracked is not null) is { } untracked)
            throw new InvalidOperationException($"not tracked: {untracked.WhyUntracked}");
        return sent / 1e6 / seconds;
    }

    private static async Task<(SslStream Source, SslStream Destination)> ConnectAsync()
    {
        using X509Certificate2 certificate = LoopbackPeer.MakeCertificate();
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        TcpClient client = new() { NoDelay = true };
        await client.ConnectAsync((IPEndPoint)listener.LocalEndpoint);
        TcpClient server = await listener.AcceptTcpClientAsync();
        server.NoDelay = true;
        SslStream source = new(client.GetStream()), destination = new(server.GetStream());
        await Task.WhenAll(
            destination.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = certificate, EnabledSslProtocols = SslProtocols.Tls13 }),
            source.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = "bench", EnabledSslProtocols = SslProtocols.Tls13, RemoteCertificateValidationCallback = (_, presented, _, _) => certificate.Equals(presented),
            }));
        return (source, destination);
    }
}
