using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Evacuator.Lab.Tests.Rack;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>One host of the rack, driven as its root would.</summary>
internal sealed class Node(LabCommand lab, string name, string address)
{
    private const string FaultPoint = "/run/evacuator-agent/fault-point";

    public static TimeSpan Patience { get; } = TimeSpan.FromSeconds(90);

    /// <summary>
    /// How long a killed service may be away: 5 s on a machine that has a processor for it, and as much longer as there are others at this moment that want the same one.
    /// </summary>
    public static TimeSpan LongestRestart =>
        TimeSpan.FromSeconds(5 * Math.Max(1, double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture) / Environment.ProcessorCount));

    public string Name => name;

    public string Address => address;

    public override string ToString() => name;

    public Task<LabResult> TryAsync(params string[] command) => lab.RunAsync(["exec", name, "--", .. command]);

    /// <summary>Runs a shell script in the node; fails the test unless it ends with 0.</summary>
    public async Task<string> ShAsync(string script, params string[] arguments)
    {
        LabResult result = await TryAsync(["sh", "-euc", script, "sh", .. arguments]);
        Assert.True(result.ExitCode == 0, $"{name}: '{script}' ended with {result.ExitCode}: {result.Output}{result.Error}");
        return result.Output.TrimEnd('\n');
    }

    public Task<LabResult> EvacuatorAsync(params string[] arguments) => TryAsync(["evacuator", .. arguments]);

    /// <summary>Makes the agent die, or wait, when a move reaches the point.</summary>
    public Task ArmAsync(string action, string point) =>
        ShAsync($"rm -f {FaultPoint}.reached; printf '%s %s' \"$1\" \"$2\" >{FaultPoint}.new; mv {FaultPoint}.new {FaultPoint}", action, point);

    /// <summary>Waits until the agent waits at the point armed with "pause".</summary>
    public Task ReachedAsync() => UntilAsync($"[ -e {FaultPoint}.reached ]", "its agent never came to the armed point");

    /// <summary>Waits until the agent has died at the point armed with "kill".</summary>
    public Task DiedAsync() => UntilAsync($"! [ -e {FaultPoint} ]", "its agent never came to the point at which it is to die");

    public Task LetGoAsync() => ShAsync($"rm -f {FaultPoint}");

    public Task KillAsync(string unit) => ShAsync("systemctl kill --kill-whom=main -s KILL \"$1\"", unit);

    public Task<string> ProcessOfAsync(string unit) => ShAsync("systemctl show -P MainPID \"$1\"", unit);

    /// <summary>Waits until another process of a killed service says that it is ready, and the brain answers.</summary>
    /// <param name="before">the process that was killed</param>
    /// <returns>seconds between the death and that word, as systemd noted both, and the most that it may be</returns>
    public async Task<(double Away, double Limit)> BackAsync(string unit, string before)
    {
        await UntilAsync($"p=$(systemctl show -P MainPID {unit}); [ \"$p\" != 0 ] && [ \"$p\" != \"{before}\" ] && systemctl is-active --quiet {unit} && evacuator status --json >/dev/null 2>&1",
            $"{unit}, killed as process {before}, does not come back");
        double limit = LongestRestart.TotalSeconds;
        string[] times = (await ShAsync("systemctl show -P ActiveExitTimestampMonotonic -P ActiveEnterTimestampMonotonic \"$1\"", unit)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        long[] microseconds = [.. times.Select(time => long.Parse(time, CultureInfo.InvariantCulture))];
        // Whatever the order in which it says them: it became active after it had ceased to be.
        return ((microseconds.Max() - microseconds.Min()) / 1e6, limit);
    }

    public Task LinkAsync(string state) => Checked(lab.RunAsync("link", name, state));

    /// <summary>Whatever this node sends to the other goes to nobody, while it hears all that the other says: a cut in one direction, as by a wrong forwarding table.</summary>
    public Task CutTowardsAsync(Node other) => ShAsync("ip neigh replace \"$1\" lladdr 02:77:ff:ff:ff:ff dev br0 nud permanent", other.Address);

    /// <summary>Takes all such cuts back.</summary>
    public Task HealAsync() => ShAsync("ip neigh flush dev br0 nud permanent");

    /// <summary>Presses the BMC's power switch: off at once, or on. Off is waited for: a BMC refuses "on" before.</summary>
    public async Task SwitchAsync(string power)
    {
        await Checked(lab.RunAsync("bmc", name, "power", power));
        long start = Stopwatch.GetTimestamp();
        while (power == "off" && await PowerAsync() != "Off")
            Assert.True(Stopwatch.GetElapsedTime(start) < Patience, $"{name} does not go off");
    }

    /// <summary>Waits, after it was switched on, until both services answer.</summary>
    public async Task UpAsync()
    {
        long start = Stopwatch.GetTimestamp();
        while ((await EvacuatorAsync("status", "--json")).ExitCode != 0)
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Patience, $"{name} does not come up");
            await Task.Delay(500);
        }
    }

    /// <summary>
    /// All that a node may have too much of after many moves, a list of names for each kind; numbers of descriptors are kept apart, without the two
    /// that .NET keeps of each library, which it loads when it is first needed.
    /// </summary>
    public async Task<SortedDictionary<string, string>> BelongingsAsync()
    {
        string output = await ShAsync("""
            say() { printf '%s\t%s\n' "$1" "$(sort | tr '\n' ' ')"; }
            ls /run/netns 2>/dev/null | say netns
            ip -o link | awk -F': ' '{print $2}' | sed 's/@.*//' | say interfaces
            awk '{print $5}' /proc/1/mountinfo | say mounts
            find /sys/fs/cgroup -type d \( -name '*run-*' -o -name '*.service' -o -name '*.scope' \) -prune -o -type d -print | say cgroups
            systemctl list-units --all --plain --no-legend 'evacuator-*' | awk '{print $1}' | say units
            find /run/evacuator-agent /run/evacuator -not -name '*.db*' 2>/dev/null | say run
            find /tmp /var/tmp -mindepth 1 -not -path '*systemd-private*' 2>/dev/null | say temporary
            find /var/lib/evacuator /var/lib/evacuator-agent -type f -not -name '*.db*' 2>/dev/null | say state
            runc list -q | say containers
            ls -d /srv/containers/* 2>/dev/null | say trees
            systemctl show -P NFileDescriptorStore evacuator-agent | say kept-descriptors
            ps -eo comm= | grep -E '^(criu|runc|rsync|socat|systemd-run)' | say processes
            for u in evacuator evacuator-agent; do find "/proc/$(systemctl show -P MainPID $u)/fd" -type l -printf '%l\n' | grep -vc '^/usr/lib/evacuator/.*\.dll$' | say "descriptors-$u"; done
            """);
        return new SortedDictionary<string, string>(output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split('\t', 2)).ToDictionary(pair => pair[0], pair => pair[1].Trim()), StringComparer.Ordinal);
    }

    /// <summary>What the descriptors of both services are, and how many there are of each kind.</summary>
    public async Task<string> DescriptorsAsync() => (await ShAsync("""
        for u in evacuator evacuator-agent; do
            p=$(systemctl show -P MainPID $u)
            printf '%s: ' "$u"
            find /proc/$p/fd -type l -printf '%l\n' | grep -v '^/usr/lib/evacuator/.*\.dll$' | sed -E 's/:\[[0-9]+\]//; s/[0-9a-f]{8}-[0-9a-f-]{27}/ID/g; s/rt[0-9]+/NAME/g' | sort | uniq -c | sort -rn | awk '{n = $1; $1 = ""; printf "%s%s, ", n, $0}'
            printf 'connections '
            ss -Htnp 2>/dev/null | grep "pid=$p," | awk '{split($5, to, ":"); split($4, at, ":"); p = at[length(at)]; q = to[length(to)]; print $1, (p < 10000 ? "from" : "to"), (p < 10000 ? p : q)}' | sort | uniq -c | awk '{n = $1; $1 = ""; printf "%s%s, ", n, $0}'
            echo
        done
        """)).Replace("\n", "  ", StringComparison.Ordinal);

    /// <summary>Sessions that are open on its BMC.</summary>
    public async Task<int> SessionsAsync() =>
        Parse((await lab.RunAsync("bmc", name, "get", "/redfish/v1/SessionService/Sessions")).Text).GetProperty("Members").GetArrayLength();

    /// <summary>Writes a drop-in of the configuration, which is gone after the test.</summary>
    public Task ConfigureAsync(string text) =>
        ShAsync("f=/etc/evacuator/evacuator.conf.d/90-test.conf; printf '%s' \"$1\" >$f; chmod 644 $f", text);

    /// <summary>Takes a file away until the end of the test.</summary>
    public Task PutAsideAsync(string path) => ShAsync("mkdir -p \"/root/aside$(dirname \"$1\")\"; mv \"$1\" \"/root/aside$1\"", path);

    /// <summary>
    /// Gives the node no more free memory than this until the end of the test. The nodes share this machine's memory; a small one is one whose
    /// kernel says so, as in system containers that show their own limit in /proc/meminfo.
    /// </summary>
    public Task ShrinkAsync(int mebibytes) =>
        ShAsync("sed \"s/^MemAvailable:.*/MemAvailable: $(($1 * 1024)) kB/\" /proc/meminfo >/run/meminfo; mount --bind /run/meminfo /proc/meminfo", $"{mebibytes}");

    public Task GrowAsync() => ShAsync("! mountpoint -q /proc/meminfo || umount /proc/meminfo");

    /// <summary>The node's disk, as this machine sees it.</summary>
    public string Path(string inside) => $"/var/lib/evacuator-lab/{lab.Rack}/{name}/root{inside}";

    /// <summary>Starts a container by hand from a copy of another's bundle, its OCI configuration changed.</summary>
    public async Task RunChangedAsync(string bundleOnThisMachine, string container, Action<JsonObject> change)
    {
        string bundle = $"/root/bundles/{container}";
        await ShAsync("mkdir -p /root/bundles");
        await Checked(lab.RunAsync("copy", bundleOnThisMachine, $"{name}:{bundle}"));
        JsonObject configuration = JsonNode.Parse(await ShAsync($"cat {bundle}/config.json"))!.AsObject();
        change(configuration);
        configuration["hostname"] = container;
        configuration["linux"]!["cgroupsPath"] = $"/containers/{container}";
        await Checked(lab.RunWithInputAsync(configuration.ToJsonString(), "exec", name, "--", "sh", "-euc", $"cat >{bundle}/config.json"));
        await ShAsync($"runc run --detach --bundle {bundle} {container} </dev/null >/dev/null 2>&1");
    }

    public async Task<string> PowerAsync() => (await lab.RunAsync("bmc", name, "state")).Text;

    /// <summary>Restarts both services; they must come up.</summary>
    public Task RestartAsync() => ShAsync(
        "systemctl reset-failed evacuator-agent evacuator 2>/dev/null || true; systemctl restart evacuator-agent evacuator; systemctl is-active --quiet evacuator-agent evacuator");

    /// <summary>Waits, in the node, for a shell condition.</summary>
    public async Task UntilAsync(string condition, string failure)
    {
        LabResult result = await TryAsync("sh", "-uc", $"for i in $(seq {(int)(Patience.TotalSeconds * 20)}); do if {condition}; then exit 0; fi; sleep 0.05; done; exit 1");
        Assert.True(result.ExitCode == 0, $"{name}: {failure}");
    }

    public async Task<JsonElement> StatusAsync()
    {
        LabResult result = await EvacuatorAsync("status", "--json");
        Assert.True(result.ExitCode == 0, $"{name}: evacuator status ended with {result.ExitCode}: {result.Error}");
        return Parse(result.Output);
    }

    /// <summary>Waits until <c>evacuator status --json</c> is as wanted.</summary>
    public async Task<JsonElement> StatusUntilAsync(Func<JsonElement, bool> wanted, string failure)
    {
        long start = Stopwatch.GetTimestamp();
        LabResult result;
        do
        {
            result = await EvacuatorAsync("status", "--json");
            if (result.ExitCode == 0 && Parse(result.Output) is var status && wanted(status))
                return status;
            await Task.Delay(200);
        }
        while (Stopwatch.GetElapsedTime(start) < Patience);
        Assert.Fail($"{name}: {failure}: {result.Output}{result.Error}");
        return default;
    }

    /// <summary>Starts an evacuation and returns at once.</summary>
    public async Task<Evacuation> EvacuateAsync(params string[] options)
    {
        LabResult result = await EvacuatorAsync(["start", "--reason", "a test", "--json", .. options]);
        Assert.True(result.ExitCode == 0, $"{name}: evacuator start ended with {result.ExitCode}: {result.Output}{result.Error}");
        return new Evacuation(this, Parse(result.Output).GetProperty("id").GetGuid());
    }

    /// <summary>What this node has of a container, a line for each thing; empty if there is nothing.</summary>
    /// <remarks>Asked of runc and the kernel, of nothing of ours.</remarks>
    public async Task<IReadOnlyList<string>> TracesAsync(string container)
    {
        string output = await ShAsync("""
            n=$1
            g=/sys/fs/cgroup/containers/$n
            if runc list -q | grep -qx "$n"; then
                status=$(runc state "$n" | sed -n 's/.*"status": "\(.*\)".*/\1/p')
                if [ "$status" = running ] && [ "$(cat $g/cgroup.freeze)" = 0 ]; then echo "runs"; else echo "runc: $status, freeze $(cat $g/cgroup.freeze)"; fi
            fi
            ! [ -e /run/netns/$n ] || echo "netns /run/netns/$n"
            ! ip link show ve-$n >/dev/null 2>&1 || echo "interface ve-$n"
            ! [ -d $g ] || echo "cgroup $g"
            ! [ -e /srv/containers/$n ] || echo "bundle /srv/containers/$n"
            """, container);
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    public static JsonElement Parse(string json) => JsonDocument.Parse(json).RootElement.Clone();

    public async Task<string> JournalAsync(DateTimeOffset since) => (await TryAsync("journalctl", "--no-pager", "-o", "short-precise", "-n", "60",
        "--since", since.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture), "-u", "evacuator", "-u", "evacuator-agent")).Output;

    private static async Task Checked(Task<LabResult> result) => _ = (await result).Text;
}
