using System.Diagnostics;
using System.Net;
using System.Net.Http;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Evacuator.Testing;

/// <summary>A real etcd on loopback, with mutual TLS of an authority of its own or of a given one. Started, stopped and stalled by the test; it never outlives it.</summary>
public sealed class EtcdServer : IAsyncDisposable
{
    /// <summary>Unpacked by tests/get-etcd.sh.</summary>
    private static readonly string Program = Path.Combine(Prerequisites.ProjectRoot, "artifacts/etcd/usr/bin/etcd");

    private readonly string _folder;
    private readonly bool _durable;
    private readonly string? _namespace;
    private readonly IPAddress _address;
    private readonly int _port = FreePort();
    private readonly int _peerPort = FreePort();
    private readonly StringBuilder _output = new();
    private Process? _process;

    private EtcdServer(string folder, bool durable, string? networkNamespace, IPAddress address) =>
        (_folder, _durable, _namespace, _address) = (folder, durable, networkNamespace, address);

    /// <summary>Null where etcd is there.</summary>
    public static string? WhyNone { get; } = File.Exists(Program) ? null : "needs Debian's etcd: run tests/get-etcd.sh";

    public string Endpoint => $"https://{_address}:{_port}";

    public string CaFile => Path.Combine(_folder, "ca.crt");

    public string ClientCertificateFile => Path.Combine(_folder, "client.crt");

    public string ClientKeyFile => Path.Combine(_folder, "client.key");

    /// <param name="folder">new, and removed by the caller</param>
    /// <param name="authority">with its private key; null: one of its own</param>
    /// <param name="durable">waits for the disk, as etcd does unless it is told not to</param>
    /// <param name="networkNamespace">path of the one that it runs in; null: this machine's own</param>
    /// <param name="address">that it listens on; null: loopback</param>
    public static async Task<EtcdServer> StartAsync(string folder, X509Certificate2? authority = null, bool durable = false, string? networkNamespace = null, IPAddress? address = null)
    {
        Directory.CreateDirectory(folder);
        EtcdServer server = new(folder, durable, networkNamespace, address ?? IPAddress.Loopback);
        using X509Certificate2? made = authority is null ? MakeAuthority() : null;
        server.WriteCertificates(authority ?? made!);
        await server.StartAsync();
        return server;
    }

    /// <summary>With the data that it had.</summary>
    public async Task StartAsync()
    {
        string own = Endpoint;
        string peer = $"http://127.0.0.1:{_peerPort}";
        // nsenter becomes what it starts: the process is etcd in both cases.
        ProcessStartInfo start = new(_namespace is null ? Program : "nsenter",
        [
            .. _namespace is null ? (string[])[] : [$"--net={_namespace}", "--", Program],
            "--name", "test", "--data-dir", Path.Combine(_folder, "data"), "--listen-client-urls", own, "--advertise-client-urls", own,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", $"test={peer}",
            "--cert-file", Path.Combine(_folder, "server.crt"), "--key-file", Path.Combine(_folder, "server.key"), "--trusted-ca-file", CaFile, "--client-cert-auth",
            "--logger", "zap", "--log-level", "error", "--quota-backend-bytes", "1073741824",
            .. _durable ? (string[])[] : ["--unsafe-no-fsync"],
        ])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            RedirectStandardInput = true,
        };
        _process = Process.Start(start)!;
        _process.StandardInput.Close();
        _process.ErrorDataReceived += (_, line) => Note(line.Data);
        _process.OutputDataReceived += (_, line) => Note(line.Data);
        _process.BeginErrorReadLine();
        _process.BeginOutputReadLine();
        await WaitUntilHealthyAsync();
    }

    /// <summary>That it has used so far, since it was started last.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process!.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <summary>As kill -9: it is gone at once.</summary>
    public async Task KillAsync()
    {
        if (_process is not { } process)
            return;
        _process = null;
        if (!process.HasExited)
            process.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
    }

    /// <summary>It keeps its connections and answers nothing, until <see cref="Resume"/>.</summary>
    public void Stall() => Signal("STOP");

    public void Resume() => Signal("CONT");

    public async ValueTask DisposeAsync() => await KillAsync();

    public static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private void Signal(string name)
    {
        using Process kill = Process.Start("/bin/kill", [$"-{name}", _process!.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    private void Note(string? line)
    {
        lock (_output)
            if (line is not null && _output.Length < 20_000)
                _output.AppendLine(line);
    }

    private async Task WaitUntilHealthyAsync()
    {
        using X509Certificate2 client = X509Certificate2.CreateFromPemFile(ClientCertificateFile, ClientKeyFile);
        using SocketsHttpHandler handler = new()
        {
            // Whether the certificate is right is a matter of the tests; here it is only asked whether the server is up.
            SslOptions = new SslClientAuthenticationOptions { ClientCertificates = [client], RemoteCertificateValidationCallback = (_, _, _, _) => true },
        };
        using HttpClient http = new(handler) { Timeout = TimeSpan.FromSeconds(5) };
        for (int attempt = 0; attempt < 600 && !_process!.HasExited; attempt++)
        {
            if (_namespace is not null ? IsHealthyInItsNamespace() : await IsHealthyAsync(http))
                return;
            await Task.Delay(20);
        }

        lock (_output)
            throw new InvalidOperationException($"etcd did not come up: {_output}");
    }

    private async Task<bool> IsHealthyAsync(HttpClient http)
    {
        try
        {
            using HttpResponseMessage answer = await http.GetAsync(new Uri($"{Endpoint}/health"));
            return answer.IsSuccessStatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
        {
            return false;
        }
    }

    private bool IsHealthyInItsNamespace()
    {
        using Process curl = Process.Start("nsenter",
            [$"--net={_namespace}", "--", "curl", "-sfko", "/dev/null", "--max-time", "5", "--cert", ClientCertificateFile, "--key", ClientKeyFile, $"{Endpoint}/health"]);
        curl.WaitForExit();
        return curl.ExitCode == 0;
    }

    private void WriteCertificates(X509Certificate2 authority)
    {
        File.WriteAllText(CaFile, authority.ExportCertificatePem());
        Issue(authority, "server");
        Issue(authority, "client");
    }

    /// <summary>Good for both sides: etcd's gateway shows the server's certificate to etcd itself.</summary>
    private void Issue(X509Certificate2 authority, string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new($"CN=etcd {name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1"), new Oid("1.3.6.1.5.5.7.3.2")], critical: false));
        SubjectAlternativeNameBuilder names = new();
        names.AddIpAddress(_address);
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        using X509Certificate2 certificate = request.Create(authority, now.AddMinutes(-30), now.AddHours(2), RandomNumberGenerator.GetBytes(12));
        File.WriteAllText(Path.Combine(_folder, $"{name}.crt"), certificate.ExportCertificatePem());
        File.WriteAllText(Path.Combine(_folder, $"{name}.key"), key.ExportPkcs8PrivateKeyPem());
    }

    public static X509Certificate2 MakeAuthority()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=test authority", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        return request.CreateSelfSigned(now.AddHours(-1), now.AddHours(3));
    }
}
