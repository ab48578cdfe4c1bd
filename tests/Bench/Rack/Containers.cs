using System.Globalization;
using System.Text.Json;

namespace Evacuator.Bench.Rack;

/// <summary>Containers on a rack of two nodes: started on node1, moved to node2 by an evacuation, or checkpointed and restored by plain runc.</summary>
internal sealed class Containers(LabDriver lab)
{
    private const string Source = "node1", Destination = "node2";

    /// <summary>Answers its address.</summary>
    public Task<string> StartAsync(string name, string workload, IReadOnlyList<string> arguments, CancellationToken cancel) =>
        lab.RunAsync(["run", Source, name, workload, "--annotation", "evacuator.freeze-budget=20s", .. arguments.SelectMany(argument => new[] { "--arg", argument })], cancel);

    /// <summary>Moves everything on node1 to node2 and waits for the end. Answers the report.</summary>
    /// <exception cref="BenchException">a container stayed</exception>
    public async Task<JsonElement> EvacuateAsync(CancellationToken cancel)
    {
        // Ends with another code than 0 if anything stayed, and the report says why.
        string started = await lab.ShAsync(Source, "timeout 240 evacuator start --reason bench --wait --json </dev/null || :", cancel);
        JsonElement report = JsonDocument.Parse(started).RootElement.Clone();
        if (report.GetProperty("state").GetString() != "done")
            throw new BenchException($"the evacuation ended as {report.GetProperty("state").GetString()}: {Text(report, "problem")} {Details(report)}");
        return report;
    }

    /// <summary>Plain runc: to the node's disk and back, on the same node, so that no byte has to cross a wire.</summary>
    public Task CheckpointAsync(string name, CancellationToken cancel) => lab.ShAsync(Source, """
        images=/var/lib/bench/$1
        rm -rf "$images"; mkdir -p "$images/work"
        runc checkpoint --tcp-established --file-locks --image-path "$images" --work-path "$images/work" "$1" </dev/null >"$images/out" 2>&1 ||
            { cat "$images/out"; grep Error "$images/work/dump.log" | head -3; exit 1; }
        runc restore --detach --tcp-established --file-locks --bundle "/srv/containers/$1" --image-path "$images" --work-path "$images/work" "$1" </dev/null >"$images/out" 2>&1 ||
            { cat "$images/out"; grep Error "$images/work/restore.log" | head -3; exit 1; }
        """, cancel, name);

    /// <summary>Removes the containers wherever they are and lets node1 take containers again. Not cancelled: the next case needs the room.</summary>
    public async Task ClearAsync(IEnumerable<string> names)
    {
        foreach (string node in (string[])[Source, Destination])
            await lab.ShAsync(node, """
                evacuator cancel --wait </dev/null >/dev/null 2>&1 || :
                for n in "$@"; do
                    runc delete --force "$n" 2>/dev/null || :
                    for port in $(ip -o link show type veth | grep -o "ve-$n[^@ ]*" || :); do ip link delete "$port" 2>/dev/null || :; done
                    ip netns delete "$n" 2>/dev/null || :
                    rm -rf --one-file-system "/srv/containers/$n" "/srv/containers/$n.evacuated" "/var/lib/bench/$n"
                done
                for i in 1 2 3 4 5 6 7 8 9 10; do if evacuator reopen </dev/null >/dev/null 2>&1; then break; fi; sleep 0.5; done
                """, CancellationToken.None, [.. names]);
    }

    /// <summary>Highest resident memory of a node's agent since <see cref="ForgetPeaksAsync"/>, in MB: all of it, and that of its own without mapped files.</summary>
    public async Task<double> PeakAsync(bool source, CancellationToken cancel)
    {
        string text = await lab.ShAsync(source ? Source : Destination,
            "grep VmHWM /proc/$(systemctl show -P MainPID evacuator-agent)/status | tr -dc 0-9", cancel);
        return Math.Round(double.Parse(text, CultureInfo.InvariantCulture) * 1024 / 1e6, 1);
    }

    public async Task ForgetPeaksAsync(CancellationToken cancel)
    {
        foreach (string node in (string[])[Source, Destination])
            await lab.ShAsync(node, "echo 5 >/proc/$(systemctl show -P MainPID evacuator-agent)/clear_refs", cancel);
    }

    /// <summary>What a node's agent said since a time of its clock, in seconds of the epoch.</summary>
    public Task<string> JournalAsync(bool source, long since, CancellationToken cancel) =>
        lab.ShAsync(source ? Source : Destination, "journalctl -o cat -u evacuator-agent --since \"@$1\"", cancel, since.ToString(CultureInfo.InvariantCulture));

    private static string Details(JsonElement report) => string.Join("; ",
        report.GetProperty("containers").EnumerateArray().Where(c => Text(c, "state") != "moved").Select(c => $"{Text(c, "name")} {Text(c, "state")}: {Text(c, "detail")}"));

    private static string Text(JsonElement owner, string name) => owner.TryGetProperty(name, out JsonElement value) ? value.ToString() : "";
}
