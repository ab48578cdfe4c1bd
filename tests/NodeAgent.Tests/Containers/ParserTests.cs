using System.Text;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Host;

namespace Evacuator.NodeAgent.Tests.Containers;

public sealed class ParserTests
{
    [Fact]
    public void Stat_NameWithBracketsAndSpaces_IsReadToTheLastBracket()
    {
        byte[] line = Encoding.ASCII.GetBytes(
            "4242 (a) b (c) T 17 4242 4242 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 13 0 987654 1000 20 18446744073709551615 0\n");

        Assert.True(ProcessStat.TryParse(line, out ProcessStat stat));
        Assert.Equal(new ProcessStat(4242, "a) b (c", 'T', 17, 4194560, 13, 987654), stat);
        Assert.False(stat.IsKernelThread);
    }

    [Theory]
    [InlineData("")]
    [InlineData("4242")]
    [InlineData("4242 (name")]
    [InlineData("4242 (name) S 1 2 3")]
    [InlineData("x (name) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0")]
    public void Stat_Broken_IsRefused(string line) => Assert.False(ProcessStat.TryParse(Encoding.ASCII.GetBytes(line), out _));

    [Fact]
    public void Stat_KernelThread_IsKnownByItsFlag()
    {
        Assert.True(ProcessStat.TryParse("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 4 0 0"u8, out ProcessStat stat));
        Assert.True(stat.IsKernelThread);
    }

    [Theory]
    [InlineData("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue", "/mnt2", "ext3", "/mnt1")]
    [InlineData("36 35 98:0 / /a\\040b\\134c rw - tmpfs tmpfs rw", "/a b\\c", "tmpfs", "/")]
    [InlineData("36 35 0:4 net:[4026532281] /run/netns/c1 rw shared:5 master:2 - nsfs nsfs rw", "/run/netns/c1", "nsfs", "net:[4026532281]")]
    public void Mount_Line_IsRead(string line, string point, string type, string root)
    {
        Assert.True(MountLine.TryParse(line, out MountLine mount));
        Assert.Equal((36, point, type, root), (mount.Id, mount.Point, mount.Type, mount.Root));
    }

    [Theory]
    [InlineData("")]
    [InlineData("36 35 98:0 /mnt1 /mnt2 rw")]
    [InlineData("36 35 98 /mnt1 /mnt2 rw - ext3 /dev/root rw")]
    public void Mount_Broken_IsRefused(string line) => Assert.False(MountLine.TryParse(line, out _));

    [Theory]
    [InlineData("populated 1\nfrozen 0\n", "populated", true)]
    [InlineData("populated 1\nfrozen 0\n", "frozen", false)]
    [InlineData("populated 1\n", "frozen", null)]
    public void CgroupEvents_Flag_IsRead(string text, string name, bool? value) => Assert.Equal(value, CgroupTree.ParseEvent(text, name));

    [Theory]
    [InlineData("12:pids:/x\n0::/containers/c1\n", "/containers/c1")]
    [InlineData("0::/c1 (deleted)\n", "/c1")]
    [InlineData("1:name=systemd:/x\n", null)]
    public void ProcCgroup_Unified_IsRead(string text, string? path) => Assert.Equal(path, ProcFiles.ParseCgroup(text));

    [Fact]
    public void Field_SmapsRollup_IsFound()
    {
        const string rollup = "55d0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:               1528 kB\nPss:                 692 kB\nPss_Dirty:           100 kB\n";

        Assert.Equal("692 kB", ProcFiles.Field(rollup, "Pss"));
        Assert.Null(ProcFiles.Field(rollup, "Swap"));
    }

    [Theory]
    [InlineData("anon_inode:[io_uring]", "io_uring")]
    [InlineData("anon_inode:inotify", "inotify")]
    [InlineData("anon_inode:bpf-prog", "bpf-prog")]
    [InlineData("/tmp/anon_inode:x", "")]
    public void OpenFile_Anonymous_HasItsKind(string target, string kind)
    {
        Assert.Equal(kind.Length > 0, OpenFile.TryParseAnonymous(target, out string found));
        Assert.Equal(kind, found);
    }

    [Theory]
    [InlineData("/var/log/a.log (deleted)", true)]
    [InlineData("/memfd:cache (deleted)", false)]
    [InlineData("/SYSV0052e2c1 (deleted)", false)]
    [InlineData("/var/log/a.log", false)]
    public void OpenFile_Deleted_IsToldFromMemory(string target, bool deleted) => Assert.Equal(deleted, OpenFile.IsDeletedFile(target));

    [Theory]
    [InlineData("TCP", true)]
    [InlineData("UNIX-STREAM", true)]
    [InlineData("MPTCP", false)]
    [InlineData("SCTP", false)]
    [InlineData("ALG", false)]
    public void OpenFile_Protocol_IsJudged(string protocol, bool movable) => Assert.Equal(movable, OpenFile.WhyNotMovable(protocol) is null);

    [Fact]
    public void OpenFile_MapLine_HasRangeAndName()
    {
        Assert.True(OpenFile.TryParseMap("7f5e1000-7f5e3000 rw-s 00000000 00:0e 1041                       anon_inode:[io_uring]", out string range, out string target));
        Assert.Equal(("7f5e1000-7f5e3000", "anon_inode:[io_uring]"), (range, target));
        Assert.False(OpenFile.TryParseMap("7f5e1000-7f5e3000 rw-p 00000000 00:00 0 ", out _, out _));
    }

    // As runc 1.1.15 of Debian 13 wrote it, cut down to what is read.
    private const string State = """
        {"id":"c1","init_process_pid":102,"init_process_start":248192,"created":"2026-11-21T21:42:36.972224132Z",
         "config":{"rootfs":"/srv/containers/c1/rootfs","labels":["a=b","bundle=/srv/containers/c1"],"cgroups":{"path":"/containers/c1","Systemd":true,"Rootless":false}},
         "rootless":false,"cgroup_paths":{"":"/sys/fs/cgroup/containers/c1"},"namespace_paths":{"NEWNET":"/proc/102/ns/net"},"external_descriptors":["/dev/null"]}
        """;

    [Fact]
    public void RuncState_OfRunc_IsRead()
    {
        RuncState state = RuncState.Parse(Encoding.UTF8.GetBytes(State), "state.json");
        Assert.Equal(["/dev/null"], state.Descriptors);
        Assert.Equal(
            new RuncState("c1", 102, 248192, "/srv/containers/c1", "/srv/containers/c1/rootfs", "/sys/fs/cgroup/containers/c1", SystemdCgroup: true), state with { Descriptors = [] });
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("[]")]
    [InlineData("""{"id":"c1","init_process_pid":"x","config":{"labels":[]}}""")]
    public void RuncState_Broken_SaysWhichFile(string json)
    {
        ContainerException refused = Assert.Throws<ContainerException>(() => RuncState.Parse(Encoding.UTF8.GetBytes(json), "/run/runc/c1/state.json"));

        Assert.Equal(BlockerCode.Unreadable, refused.Blocker.Code);
        Assert.Contains("/run/runc/c1/state.json", refused.Message);
    }

    [Theory]
    [InlineData("web-1.a_b+c", true)]
    [InlineData("..", false)]
    [InlineData("a/b", false)]
    [InlineData("", false)]
    [InlineData("a b", false)]
    public void Name_OfContainer_CannotLeadElsewhere(string name, bool valid) => Assert.Equal(valid, RuncRuntime.IsName(name));

    [Theory]
    [InlineData("/system.slice/ssh.service", true)]
    [InlineData("/system.slice", true)]
    [InlineData("/init.scope", true)]
    [InlineData("/", true)]
    [InlineData("/containers/c1", false)]
    [InlineData("/system.slice/c1", false)]
    [InlineData("/system.slice/runc-c1.scope", false)]
    public void Cgroup_OfAUnit_IsKnown(string path, bool unit) => Assert.Equal(unit, HostPlaces.IsUnitCgroup(path));

    [Theory]
    [InlineData("/system.slice/ssh.service", true)]
    [InlineData("/user.slice/user-0.slice/user@0.service/app.slice/x", true)]
    [InlineData("/system.slice/docker.service", true)]
    [InlineData("/system.slice/evacuator-restore-1.service", true)]
    [InlineData("/init.scope", true)]
    [InlineData("/containers/c1", false)]
    [InlineData("/system.slice/c1", false)]
    [InlineData("/system.slice/runc-c1.scope", false)]
    [InlineData("/machine.slice/libpod-9f3a.scope/container", false)]
    [InlineData("/system.slice/foo.service/libpod-payload-9f3a", false)]
    [InlineData("/kubepods.slice/kubepods-burstable.slice/cri-containerd-1.scope", false)]
    public void Cgroup_OfTheHost_IsToldFromAContainers(string path, bool host) => Assert.Equal(host, EmptinessProof.WhyContainer(path) is null);
}
