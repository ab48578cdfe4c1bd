using System.Diagnostics;
using System.Text;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>What one test puts on the rack: its containers, their clients, and everything that has to be as before when it ends.</summary>
internal sealed class Scene(ProductRack rack)
{
    private static int s_count;

    private readonly DateTimeOffset _begun = DateTimeOffset.UtcNow.AddSeconds(-1);
    private readonly List<Guest> _guests = [];
    private readonly List<string> _others = [];

    public Node Node1 => rack["node1"];

    public Node Node2 => rack["node2"];

    public Node Node3 => rack["node3"];

    public Node Find(string? name) => rack.Nodes.Single(node => node.Name == name);

    /// <summary>A name that no other test uses.</summary>
    public static string NewName(string prefix) => $"{prefix}{Interlocked.Increment(ref s_count)}";

    /// <summary>Starts a counter with a client that holds a connection to it.</summary>
    public Task<Guest> RunAsync(Node node, string prefix = "c", params string[] options) => RunAsync(node, CounterClient.Pace, prefix, options);

    /// <param name="pace">between two questions of its client: where there are many, this machine has other things to do</param>
    public async Task<Guest> RunAsync(Node node, TimeSpan pace, string prefix, params string[] options)
    {
        string name = NewName(prefix);
        string address = (await rack.Lab.RunAsync(["run", node.Name, name, "counter", .. options])).Text;
        Guest guest = new(this, name, address, new CounterClient(rack.Lab, name, address, pace));
        _guests.Add(guest);
        await guest.Client.AssertAliveAsync();
        return guest;
    }

    /// <summary>Starts another workload, which the test watches itself.</summary>
    public async Task<(string Name, string Address)> RunWorkloadAsync(Node node, string workload, params string[] options)
    {
        string name = NewName("w");
        _others.Add(name);
        return (name, (await rack.Lab.RunAsync(["run", node.Name, name, workload, .. options])).Text);
    }

    /// <summary>For a container that a test has made in a way of its own; clears it up too.</summary>
    public Guest Adopt(string name, string address)
    {
        Guest guest = new(this, name, address, new CounterClient(rack.Lab, name, address));
        _guests.Add(guest);
        return guest;
    }

    /// <returns>the same container with a new connection, for one that could not go on</returns>
    public async Task<Guest> ReconnectAsync(Guest guest)
    {
        await guest.Client.DisposeAsync();
        _ = _guests.Remove(guest);
        return Adopt(guest.Name, guest.Address);
    }

    /// <summary>
    /// Fails unless the container runs on that node and no other node has anything of it, its connection being whole. What a node has still to
    /// clear away gets the time for it.
    /// </summary>
    public async Task AssertOnlyOnAsync(Guest guest, Node home)
    {
        long start = Stopwatch.GetTimestamp();
        string found;
        do
        {
            IReadOnlyList<string>[] traces = await Task.WhenAll(rack.Nodes.Select(node => node.TracesAsync(guest.Name)));
            found = string.Join("; ", rack.Nodes.Zip(traces, (node, lines) => $"{node}: {(lines.Count == 0 ? "nothing" : string.Join(", ", lines))}"));
            if (rack.Nodes.Zip(traces, (node, lines) => node == home ? lines.Contains("runs") : lines.Count == 0).All(right => right))
            {
                await guest.Client.AssertAliveAsync();
                return;
            }

            // Never two at once, not even on the way.
            Assert.True(traces.Count(lines => lines.Contains("runs")) <= 1, $"{guest} runs twice: {found}");
            await Task.Delay(200);
        }
        while (Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(30));
        Assert.Fail($"{guest} should run on {home} and on no other: {found}");
    }

    /// <summary>Fails unless no node has anything of a move left: its folder in memory, a unit, a program at work.</summary>
    public Task AssertNothingOfMovesLeftAsync() => Task.WhenAll(rack.Nodes.Select(node => node.UntilAsync(
        "[ -z \"$(ls /run/evacuator-agent/moves 2>/dev/null; systemctl list-units --all --plain --no-legend 'evacuator-dump-*' 'evacuator-restore-*' 'evacuator-start-*'; "
        + "ps -eo comm= | grep -E '^(criu|runc|rsync|socat)')\" ]", "something of a move is left")));

    /// <summary>The nodes' journals since the beginning of the test.</summary>
    public async Task<string> TellAsync()
    {
        StringBuilder told = new();
        foreach (Node node in rack.Nodes)
            told.Append("== ").Append(node).Append('\n').Append(await node.JournalAsync(_begun));
        return told.ToString();
    }

    /// <summary>Makes the rack as it was, whatever the test has left.</summary>
    public async Task ClearAsync()
    {
        foreach (Guest guest in _guests)
            await guest.Client.DisposeAsync();
        foreach (Node node in rack.Nodes)
        {
            if (await node.PowerAsync() == "On")
                continue;
            await node.SwitchAsync("on");
            await node.UpAsync();
        }

        await Task.WhenAll(rack.Nodes.Select(node => node.LinkAsync("up")));
        await Task.WhenAll(rack.Nodes.Select(node => node.HealAsync()));
        // Services first, so that no move is under way when the containers go.
        await Task.WhenAll(rack.Nodes.Select(node => node.ShAsync("""
            rm -f /run/evacuator-agent/fault-point
            ! mountpoint -q /proc/meminfo || umount /proc/meminfo
            if [ -e /root/aside ]; then
                (cd /root/aside && find . -type f -o -type l | while read -r f; do mv "$f" "/$f"; done)
                rm -r /root/aside
                touch /etc/evacuator/evacuator.conf.d/90-test.conf
            fi
            if [ -e /etc/evacuator/evacuator.conf.d/90-test.conf ]; then
                rm /etc/evacuator/evacuator.conf.d/90-test.conf
                systemctl reset-failed evacuator-agent evacuator 2>/dev/null || true
                systemctl restart evacuator-agent evacuator
            fi
            # systemd waits longer before each restart of a unit and never forgets by itself how many there were.
            systemctl reset-failed evacuator-agent evacuator 2>/dev/null || true
            evacuator cancel --wait >/dev/null 2>&1 || true
            for i in 1 2 3 4 5 6 7 8 9 10; do if evacuator reopen >/dev/null 2>&1; then break; fi; sleep 1; done
            """)));
        string[] names = [.. _guests.Select(guest => guest.Name), .. _others];
        await Task.WhenAll(rack.Nodes.Select(node => node.ShAsync("""
            for n in "$@"; do
                runc delete --force "$n" 2>/dev/null || true
                ip link delete "ve-$n" 2>/dev/null || true
                ip netns delete "$n" 2>/dev/null || true
                rm -rf --one-file-system "/srv/containers/$n" "/srv/containers/$n.evacuated" "/root/bundles/$n"
            done
            """, names)));
    }
}

/// <summary>A container of a test and its client.</summary>
internal sealed record Guest(Scene Scene, string Name, string Address, CounterClient Client)
{
    public override string ToString() => Name;
}
