using System.Diagnostics;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Rack;

/// <summary>A rack goes away whole, however its maker ended.</summary>
public sealed class RackRemovalTests
{
    private readonly LabCommand _lab = new("selfremoval");

    [LabFact]
    public async Task Down_AfterUp_NothingIsLeft()
    {
        _ = (await _lab.RunAsync("up", "1", "--bare")).Text;
        Assert.NotEmpty(Remains());
        _ = (await _lab.RunAsync("down")).Text;
        Assert.Empty(Remains());
    }

    [LabTheory]
    [InlineData("-KILL")]
    [InlineData("-TERM")]
    public async Task Down_UpWasKilledHalfway_NothingIsLeftAndTheNextUpWorks(string signal)
    {
        Process up = _lab.Start("up", "2", "--bare");
        // Halfway: there are processes, and the command has not ended.
        while (!up.HasExited && !File.Exists($"/run/evacuator-lab/{_lab.Rack}/node1.pid"))
        {
            await Task.Delay(10);
        }

        Assert.False(up.HasExited);
        Process.Start("kill", [signal, $"{up.Id}"])!.WaitForExit();
        LabResult killed = await LabCommand.RunAsync(up, null);
        Assert.NotEqual(0, killed.ExitCode);

        _ = (await _lab.RunAsync("down")).Text;
        Assert.Empty(Remains());
        _ = (await _lab.RunAsync("up", "1", "--bare")).Text;
        _ = (await _lab.RunAsync("exec", "node1", "--", "true")).Text;
        _ = (await _lab.RunAsync("down")).Text;
        Assert.Empty(Remains());
    }

    [LabFact]
    public async Task Scripts_Checked_ShellcheckFindsNothing()
    {
        string folder = Path.GetDirectoryName(LabCommand.Program)!;
        var start = new ProcessStartInfo("shellcheck", ["-x", "-a", LabCommand.Program, .. Directory.GetFiles(folder + "/lib", "container-*.sh"), folder + "/node/usr/local/lib/lab/network"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        LabResult result = await LabCommand.RunAsync(Process.Start(start)!, null);
        Assert.True(result.ExitCode == 0, result.Output + result.Error);
    }

    /// <summary>What the machine still shows of the rack.</summary>
    private List<string> Remains()
    {
        string rack = _lab.Rack;
        string[] places = [$"/sys/fs/cgroup/evacuator-lab-{rack}", $"/sys/fs/cgroup/unified/evacuator-lab-{rack}",
            $"/sys/fs/cgroup/systemd/evacuator-lab-{rack}", $"/run/evacuator-lab/{rack}", $"/var/lib/evacuator-lab/{rack}"];
        IEnumerable<string> namespaces = Directory.Exists("/run/netns") ? Directory.GetFiles("/run/netns", rack + "-*") : [];
        IEnumerable<string> mounts = File.ReadLines("/proc/self/mountinfo").Where(line => line.Contains($"/evacuator-lab/{rack}/", StringComparison.Ordinal));
        return [.. places.Where(Path.Exists), .. namespaces, .. mounts];
    }
}
