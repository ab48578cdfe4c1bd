using System.Globalization;
using Evacuator.Lab.Tests.Evacuations;
using Evacuator.Lab.Tests.Rack;
using Evacuator.Testing;

namespace Evacuator.Lab.Tests.Engine;

/// <summary>Who else runs on a host is not woken up by what the agent does, least of all inside a freeze.</summary>
[Collection(RackCollection.Name)]
public sealed class QuietHostTests(ProductRack rack)
{
    /// <summary>Notes, whenever the table of mounts changes, what is CRIU's in it; ends when the file "stop" is there.</summary>
    private const string WatchMounts =
        """
        rm -f /run/mounts-stop /run/mounts-seen; : > /run/mounts-seen
        systemd-run --quiet --collect perl -e '
            open(my $table, "<", "/proc/1/mountinfo") or die;
            open(my $seen, ">>", "/run/mounts-seen") or die;
            $seen->autoflush(1);
            while (!-e "/run/mounts-stop") {
                seek($table, 0, 0);
                while (<$table>) { print $seen $_ if /criu/ }
                print $seen "looked\n";
                my $changed = ""; vec($changed, fileno($table), 1) = 1;
                select(undef, undef, $changed, 0.2);
            }'
        until [ -s /run/mounts-seen ]; do sleep 0.1; done
        """;

    /// <summary>systemd reads the whole table and its units for each change, on the processors that the restore needs.</summary>
    [LabFact]
    public Task Restore_OfAContainer_MountsNothingThatTheHostSees() => rack.RunAsync(async scene =>
    {
        (string name, _) = await scene.RunWorkloadAsync(scene.Node1, "idle");
        using AgentSocket one = new(scene.Node1, rack.Lab.Rack), two = new(scene.Node2, rack.Lab.Rack);
        await scene.Node2.ShAsync(WatchMounts);

        await one.MoveAsync(name, two, freezeBudgetMs: 10_000);

        string seen = await scene.Node2.ShAsync("touch /run/mounts-stop; cat /run/mounts-seen");
        Assert.Contains("looked", seen, StringComparison.Ordinal);
        Assert.DoesNotContain("criu", seen, StringComparison.Ordinal);
    });

    /// <summary>A watch on a folder is work for each file that anybody makes in it.</summary>
    [LabTheory]
    [InlineData("evacuator-agent")]
    [InlineData("evacuator")]
    public Task Service_ThatRuns_WatchesNoFiles(string unit) => rack.RunAsync(async scene =>
    {
        string watches = await scene.Node1.ShAsync("cat /proc/$(systemctl show -P MainPID \"$1\")/fdinfo/* 2>/dev/null | grep -c ^inotify || :", unit);

        Assert.Equal(0, int.Parse(watches, CultureInfo.InvariantCulture));
    });
}
