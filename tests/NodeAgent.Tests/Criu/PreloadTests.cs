using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Tests.Memory;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Criu;

/// <summary>The libraries that are put into CRIU, each under a program that makes the same calls as CRIU.</summary>
public sealed class PreloadTests : IDisposable
{
    private const string Execs = "#include <unistd.h>\nint main(int count, char **words) { (void)count; execvp(words[1], words + 1); return 99; }";

    // As criu/cr-service.c reads a request; then a file is made, as an image is.
    private const string Serves =
        """
        #define _GNU_SOURCE
        #include <errno.h>
        #include <fcntl.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <sys/socket.h>
        #include <unistd.h>
        int main(int count, char **words) {
            unsigned char request[8] = { 8, atoi(words[1]), 0x12, 4, 0x08, 5, 0x48, 4 }, got[16];
            int pair[2];
            (void)count;
            socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
            send(pair[0], request, sizeof request, 0);
            if (recv(pair[1], NULL, 0, MSG_PEEK | MSG_TRUNC) != 8 || recv(pair[1], got, sizeof got, 0) != 8) return 90;
            printf("%d %d\n", got[1], got[7]);
            fflush(stdout);
            getchar();
            if (getenv("EVACUATOR_OWNED")) {
                char text[4096];
                int mappings = openat64(open64("/proc/self", O_RDONLY | O_DIRECTORY), "smaps", O_RDONLY);
                if (mappings < 0) return errno == ECANCELED ? 91 : 92;
                int whole = read(mappings, text, sizeof text) == sizeof text;
                printf("%d %d %c\n", access(getenv("EVACUATOR_OWNED"), F_OK) == 0, whole, text[0]);
                return 0;
            }
            int fd = open64("image", O_CREAT | O_WRONLY, 0600);
            return fd >= 0 ? 0 : errno == ECANCELED ? 91 : 92;
        }
        """;

    // As criu/uffd.c says that all tasks are made; the other end takes its time, then leaves a mark and closes.
    private const string Finishes =
        """
        #include <fcntl.h>
        #include <stdio.h>
        #include <sys/socket.h>
        #include <unistd.h>
        int main(void) {
            unsigned finished = 0x52535446;
            int pair[2];
            socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
            if (fork() == 0) {
                close(pair[0]);
                usleep(100000);
                close(open("mark", O_CREAT | O_WRONLY, 0600));
                return 0;
            }
            close(pair[1]);
            if (send(pair[0], &finished, sizeof finished, 0) != sizeof finished) return 90;
            return access("mark", F_OK) == 0 ? 0 : 91;
        }
        """;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [TargetFact]
    public void Tmpfs_SavedByUs_IsTheSameForTarAndForUs()
    {
        string tree = MakeTree("tree");
        string ours = Save(tree, quick: true);
        Assert.Contains("evacuator 1", Encoding.Latin1.GetString(File.ReadAllBytes(ours)[..32]), StringComparison.Ordinal);

        Assert.Equal(Listing(tree), Listing(Load(ours, "by-tar", quick: false)));
        Assert.Equal(Listing(tree), Listing(Load(ours, "by-us", quick: true)));
    }

    [TargetFact]
    public void Tmpfs_SavedByTar_IsLeftToTar()
    {
        string tree = MakeTree("tree");
        Assert.Equal(Listing(tree), Listing(Load(Save(tree, quick: false), "by-us", quick: true)));
    }

    [TargetFact]
    public void Tmpfs_WithAHardLinkOrAHole_IsLeftToTar()
    {
        string tree = MakeTree("tree");
        Shell($"ln '{tree}/file' '{tree}/again'");
        string saved = Save(tree, quick: true);
        Assert.DoesNotContain("evacuator 1", Encoding.Latin1.GetString(File.ReadAllBytes(saved)[..32]), StringComparison.Ordinal);
        Assert.Equal(Listing(tree), Listing(Load(saved, "links", quick: true)));

        File.Delete($"{tree}/again");
        Shell($"truncate -s 9M '{tree}/hole'");
        Assert.DoesNotContain("evacuator 1", Encoding.Latin1.GetString(File.ReadAllBytes(Save(tree, quick: true))[..32]), StringComparison.Ordinal);
    }

    [TargetFact]
    public void Archive_DamagedOnItsWay_IsRefused()
    {
        string saved = Save(MakeTree("tree"), quick: true);
        byte[] bytes = File.ReadAllBytes(saved);
        bytes[bytes.AsSpan().IndexOf("some content"u8)] ^= 1;
        File.WriteAllBytes(saved, bytes);
        Assert.NotEqual(0, TryLoad(saved, "damaged", quick: true));
    }

    [TargetTheory]
    [InlineData("./x1", "../x")]
    [InlineData("./l/inside", "./l/inside")]
    public void Archive_ThatLeadsOut_MakesNothingOutside(string name, string renamed)
    {
        // "l" is a link to the folder above in the archive, and a folder when the file in it was saved.
        string tree = _folder.Path + "/tree";
        Directory.CreateDirectory(tree + "/l");
        File.WriteAllText($"{tree}/{name[2..]}", "x");
        byte[] archive = File.ReadAllBytes(Save(tree, quick: true));
        using GZipStream unzip = new(new MemoryStream(archive), CompressionMode.Decompress);
        using MemoryStream tar = new();
        unzip.CopyTo(tar);
        byte[] blocks = tar.ToArray();
        for (int at = 0; at + 512 <= blocks.Length; at += 512)
        {
            string entry = Encoding.ASCII.GetString(blocks, at, 100).TrimEnd('\0');
            if (entry == name)
                Encoding.ASCII.GetBytes(renamed, blocks.AsSpan(at));
            if (entry == "./l/" && name != renamed)
                continue;
            if (entry == "./l/")
            {
                blocks.AsSpan(at, 100).Clear();
                "./l"u8.CopyTo(blocks.AsSpan(at));
                blocks[at + 156] = (byte)'2';
                ".."u8.CopyTo(blocks.AsSpan(at + 157));
            }
        }
        string hostile = Path.Combine(_folder.Path, "hostile");
        using (FileStream file = File.Create(hostile))
        {
            file.Write(archive.AsSpan(0, 22));
            byte[] head = [1, (byte)blocks.Length, (byte)(blocks.Length >> 8), (byte)~blocks.Length, (byte)(~blocks.Length >> 8)];
            file.Write(head);
            file.Write(blocks);
            // CRC and length, as every gzip stream of the same bytes ends.
            using MemoryStream zipped = new();
            using (GZipStream zip = new(zipped, CompressionLevel.Fastest, leaveOpen: true))
                zip.Write(blocks);
            file.Write(zipped.ToArray().AsSpan(^8..));
        }
        Directory.CreateDirectory(_folder.Path + "/deep");
        Assert.NotEqual(0, TryLoad(hostile, "deep/target", quick: true));
        Assert.Empty(Directory.EnumerateFiles(_folder.Path + "/deep"));
    }

    [TargetTheory]
    [InlineData(1)]
    [InlineData(2)]
    public void Request_ToDumpOrRestore_IsHeldUntilTheGateOpens(int request)
    {
        using Process criu = Serve(request, out string gate);
        WaitFor($"{gate}/armed");
        Assert.False(File.Exists($"{gate}/started"));
        Open(gate);
        Assert.Equal($"{request} 2", criu.StandardOutput.ReadLine());
        Assert.True(File.Exists($"{gate}/started"));
        criu.StandardInput.Close();
        criu.WaitForExit();
        Assert.Equal(0, criu.ExitCode);
    }

    [TargetFact]
    public void Request_CalledOff_NeverReachesCriu()
    {
        using Process criu = Serve(1, out string gate);
        WaitFor($"{gate}/armed");
        File.WriteAllBytes($"{gate}/inside", []);
        Assert.True(ArmedCommand.Disarm(gate, "no-such-unit"));
        Assert.Null(criu.StandardOutput.ReadLine());
        criu.WaitForExit();
        Assert.Equal(123, criu.ExitCode);
        Assert.False(File.Exists($"{gate}/started"));
    }

    [TargetFact]
    public void Request_OfAnotherKind_IsNotHeld()
    {
        using Process criu = Serve(10, out string gate);
        Assert.Equal("10 4", criu.StandardOutput.ReadLine());
        Assert.False(File.Exists($"{gate}/armed"));
        criu.StandardInput.Close();
        criu.WaitForExit();
    }

    [TargetTheory]
    [InlineData(1, 91)]
    [InlineData(2, 0)]
    public void Cancel_OfADumpUnderWay_LetsItsImagesFail(int request, int code)
    {
        using Process criu = Serve(request, out string gate);
        WaitFor($"{gate}/armed");
        Open(gate);
        criu.StandardOutput.ReadLine();
        File.WriteAllBytes($"{gate}/cancel", []);
        criu.StandardInput.Close();
        criu.WaitForExit();
        Assert.Equal(code, criu.ExitCode);
    }

    [TargetFact]
    public void Dump_ReadsTheFirstMappings_OnlyOnceTheOwnedMemoryIsKnown()
    {
        string owned = Path.Combine(_folder.Path, "owned");
        using Process criu = Serve(1, out string gate, owned);
        WaitFor($"{gate}/armed");
        Open(gate);
        criu.StandardOutput.ReadLine();
        criu.StandardInput.Close();
        Task<string?> answer = criu.StandardOutput.ReadLineAsync();
        // It is in the open by now: it holds the copy that it made of the mappings.
        Assert.True(SpinWait.SpinUntil(() => answer.IsCompleted || Descriptors(criu).Any(link => link.StartsWith("/memfd:smaps", StringComparison.Ordinal)), TimeSpan.FromSeconds(30)));
        Assert.False(answer.IsCompleted);
        File.WriteAllBytes(owned, []);
        Assert.StartsWith("1 1 ", answer.GetAwaiter().GetResult(), StringComparison.Ordinal);
        criu.WaitForExit();
    }

    [TargetTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void Dump_WhereTheEngineKnowsTheMappings_ReadsWhatItWroteOfThisProcess(bool ofThisProcess)
    {
        string owned = Path.Combine(_folder.Path, "owned"), mappings = Directory.CreateDirectory(Path.Combine(_folder.Path, "mappings")).FullName;
        using Process criu = Serve(1, out string gate, owned, mappings);
        WaitFor($"{gate}/armed");
        Open(gate);
        criu.StandardOutput.ReadLine();
        criu.StandardInput.Close();
        Task<string?> answer = criu.StandardOutput.ReadLineAsync();
        File.WriteAllText(Path.Combine(mappings, $"{(ofThisProcess ? criu.Id : criu.Id + 1)}"), "written");
        Assert.False(answer.IsCompleted);
        File.WriteAllBytes(owned, []);
        Assert.Equal(ofThisProcess, answer.GetAwaiter().GetResult()!.EndsWith(" w", StringComparison.Ordinal));
        criu.WaitForExit();
    }

    [TargetFact]
    public void Dump_CalledOffWhileItWaitsForTheOwnedMemory_Fails()
    {
        using Process criu = Serve(1, out string gate, Path.Combine(_folder.Path, "owned"));
        WaitFor($"{gate}/armed");
        Open(gate);
        criu.StandardOutput.ReadLine();
        criu.StandardInput.Close();
        Assert.True(SpinWait.SpinUntil(() => criu.HasExited || Descriptors(criu).Any(link => link.StartsWith("/memfd:smaps", StringComparison.Ordinal)), TimeSpan.FromSeconds(30)));
        Assert.False(criu.HasExited);
        File.WriteAllBytes($"{gate}/cancel", []);
        criu.WaitForExit();
        Assert.Equal(91, criu.ExitCode);
    }

    [TargetTheory]
    [InlineData(true, 0)]
    [InlineData(false, 91)]
    public void Restore_ThatIsDone_WaitsUntilItsMemorysServerHangsUp(bool preloaded, int code)
    {
        ProcessStartInfo start = new(Compile("finishes", Finishes)) { WorkingDirectory = _folder.Path };
        if (preloaded)
            start.Environment["LD_PRELOAD"] = Library("criu-gate");
        using Process criu = Process.Start(start)!;
        criu.WaitForExit();
        Assert.Equal(code, criu.ExitCode);
    }

    [TargetFact]
    public async Task Preload_OfALibrary_IsSeenAndNothingElseIs()
    {
        Assert.True(await CriuPreloads.IsLoadedAsync(Library("criu-gate"), CancellationToken.None));
        string text = Path.Combine(_folder.Path, "text.so");
        await File.WriteAllTextAsync(text, "not a library");
        Assert.False(await CriuPreloads.IsLoadedAsync(text, CancellationToken.None));
        Assert.False(await CriuPreloads.IsLoadedAsync(Path.Combine(_folder.Path, "none.so"), CancellationToken.None));
    }

    [Fact]
    public void Imports_OfAnElfFile_AreWholeNames()
    {
        byte[] program = "\u007fELF/lib64/ld-linux-x86-64.so.2\0recvmsg\0openat64\0"u8.ToArray();
        Assert.True(CriuPreloads.Imports(program, "openat64"));
        Assert.False(CriuPreloads.Imports(program, "recv"));
        Assert.False(CriuPreloads.Imports("\0recv\0"u8, "recv"));
    }

    private string MakeTree(string name)
    {
        string tree = Directory.CreateDirectory(Path.Combine(_folder.Path, name)).FullName;
        Shell($"cd '{tree}'; mkdir -p a/b empty; echo some content > file; head -c 200000 /dev/urandom > a/b/random; : > a/nothing; ln -s /nowhere link; "
            + "mknod null c 1 3; mkfifo pipe; chmod 1777 .; chmod 4711 file; chown 12:34 a a/nothing; chmod 700 a; touch -h -d '2001-02-03 04:05:06' link file a/b a .");
        return tree;
    }

    private string Save(string tree, bool quick)
    {
        string image = Path.Combine(_folder.Path, $"image-{quick}-{Guid.NewGuid():N}");
        Assert.Equal(0, Run("--create", "/proc/self/fd/0", $"< '{tree}' > '{image}'", "--no-unquote --no-wildcards --one-file-system --check-links --preserve-permissions --sparse --numeric-owner", ".", quick));
        return image;
    }

    private string Load(string image, string name, bool quick)
    {
        Assert.Equal(0, TryLoad(image, name, quick));
        return Path.Combine(_folder.Path, name);
    }

    private int TryLoad(string image, string name, bool quick)
    {
        string target = Directory.CreateDirectory(Path.Combine(_folder.Path, name)).FullName;
        return Run("--extract", target, $"< '{image}'", "--no-unquote --no-wildcards", "", quick);
    }

    private int Run(string verb, string directory, string streams, string options, string what, bool quick) =>
        Shell($"{(quick ? $"EVACUATOR_QUICK=1 LD_PRELOAD='{Library("criu-quick")}' " : "")}'{Compile("execs", Execs)}' tar {verb} --gzip {options} --directory '{directory}' {what} {streams}", mayFail: true);

    /// <summary>Everything that tar keeps: path, type, mode, owner, seconds of the last change, target or device, content.</summary>
    private static string Listing(string tree)
    {
        using Process find = Process.Start(new ProcessStartInfo("/bin/sh",
            ["-c", "cd \"$1\"; find . -printf '%P %y %m %U %G %Ts %l\\n' | sort; stat -c '%n %t %T' null; find . -type f -exec md5sum {} + | sort", "sh", tree]) { RedirectStandardOutput = true })!;
        string text = find.StandardOutput.ReadToEnd();
        find.WaitForExit();
        return text;
    }

    private static IEnumerable<string> Descriptors(Process process)
    {
        try
        {
            return [.. Directory.GetFiles($"/proc/{process.Id}/fd").Select(path => File.ResolveLinkTarget(path, returnFinalTarget: false)?.ToString() ?? "")];
        }
        catch (IOException)
        {
            // One was closed meanwhile, or it has ended.
            return [];
        }
    }

    private Process Serve(int request, out string gate, string? owned = null, string? mappings = null)
    {
        gate = Directory.CreateDirectory(Path.Combine(_folder.Path, "gate")).FullName;
        Shell($"mkfifo '{gate}/go'");
        ProcessStartInfo start = new(Compile("serves", Serves), [$"{request}"]) { RedirectStandardInput = true, RedirectStandardOutput = true, WorkingDirectory = _folder.Path };
        start.Environment["LD_PRELOAD"] = Library("criu-gate");
        start.Environment["EVACUATOR_GATE"] = gate;
        if (owned is not null)
            start.Environment["EVACUATOR_OWNED"] = owned;
        if (mappings is not null)
            start.Environment["EVACUATOR_MAPPINGS"] = mappings;
        return Process.Start(start)!;
    }

    private static void Open(string gate)
    {
        using FileStream go = new($"{gate}/go", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, 0);
        go.Write("go\n"u8);
    }

    private static void WaitFor(string path) => Assert.True(SpinWait.SpinUntil(() => File.Exists(path), TimeSpan.FromSeconds(30)), $"{path} did not appear");

    private string Library(string name) => Compile(name, source: null);

    private string Compile(string name, string? source)
    {
        string result = Path.Combine(_folder.Path, name + (source is null ? ".so" : ""));
        if (File.Exists(result))
            return result;
        string file = Path.Combine(Prerequisites.ProjectRoot, "src", "NodeAgent", "native", name + ".c");
        if (source is not null)
            File.WriteAllText(file = Path.Combine(_folder.Path, name + ".c"), source);
        Shell($"gcc -O2 -Wall {(source is null ? "-fPIC -shared" : "")} -o '{result}' '{file}' -ldl");
        return result;
    }

    private static int Shell(string command, bool mayFail = false)
    {
        using Process shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", command]) { RedirectStandardError = true })!;
        string errors = shell.StandardError.ReadToEnd();
        shell.WaitForExit();
        Assert.True(mayFail || shell.ExitCode == 0, $"{command}: {errors}");
        return shell.ExitCode;
    }
}
