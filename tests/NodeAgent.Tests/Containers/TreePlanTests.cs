using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Containers;

public sealed class TreePlanTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("evacuator-trees-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Plan_BundleBindsAndFiles_AreListedOnceEach()
    {
        string bundle = Make("c1"), data = Make("data/c1"), rootfs = Make("roots/c1");
        File.WriteAllText(Path.Combine(_root, "motd"), "");
        TreePlan plan = Plan(
            bundle, rootfs, Bind(data, "/data"), Bind($"{data}/sub", "/sub"), Bind("inside", "/inside"), Bind(Path.Combine(_root, "motd"), "/motd", "ro"), Bind("/etc/hostname", "/h", "ro"));

        Assert.Empty(plan.Faults);
        Assert.Equal(
            [(bundle, TreeKind.Bundle, false), (data, TreeKind.Bind, false), (Path.Combine(_root, "motd"), TreeKind.File, true), (rootfs, TreeKind.Rootfs, false)],
            plan.Trees.Select(t => (t.Path, t.Kind, t.ReadOnly)));
        Assert.Equal(["/etc/hostname"], plan.HostPaths);

        string Make(string name)
        {
            string path = Path.Combine(_root, name);
            Directory.CreateDirectory(Path.Combine(path, "sub"));
            Directory.CreateDirectory(Path.Combine(path, "inside"));
            return path;
        }
    }

    [Fact]
    public void Plan_RelativeSourceOutsideOfTheBundle_IsATreeOfItsOwn()
    {
        string bundle = Directory.CreateDirectory(Path.Combine(_root, "c1")).FullName, data = Directory.CreateDirectory(Path.Combine(_root, "data")).FullName;

        TreePlan plan = Plan(bundle, $"{bundle}/rootfs", Bind("../data", "/data"), Bind($"{bundle}//./inside/", "/inside"), Bind("inside", "/again"));

        Assert.Equal([bundle, data], plan.Trees.Select(tree => tree.Path));
    }

    [Theory]
    [InlineData("link")]
    [InlineData("link/sub")]
    [InlineData("inside/../../data")]
    public void Plan_SourceThatOnlyLooksAsIfItWereInTheBundle_IsAFault(string source)
    {
        string bundle = Directory.CreateDirectory(Path.Combine(_root, "c1")).FullName;
        Directory.CreateDirectory(Path.Combine(bundle, "inside"));
        Directory.CreateDirectory(Path.Combine(_root, "data/sub"));
        File.CreateSymbolicLink(Path.Combine(bundle, "link"), "../data");

        Blocker fault = Assert.Single(Plan(bundle, $"{bundle}/rootfs", Bind($"{bundle}/{source}", "/data")).Faults);

        Assert.Equal(BlockerCode.UnsupportedMount, fault.Code);
    }

    [Theory]
    [InlineData("data")]
    [InlineData("c1/link")]
    [InlineData("c1/absolute/sub")]
    public void InUse_SourceByAnyName_IsTheRealOne(string source)
    {
        string bundle = Directory.CreateDirectory(Path.Combine(_root, "c1")).FullName;
        Directory.CreateDirectory(Path.Combine(_root, "data/sub"));
        File.CreateSymbolicLink(Path.Combine(bundle, "link"), "../data");
        File.CreateSymbolicLink(Path.Combine(bundle, "absolute"), Path.Combine(_root, "data"));

        IReadOnlyList<TreeDescription> used = InUse(bundle, Bind(Path.Combine(_root, source), "/data"));

        Assert.Contains(used, tree => tree.Path.StartsWith(Path.Combine(_root, "data"), StringComparison.Ordinal));
        Assert.Contains(used, tree => tree.Path == bundle);
    }

    [Fact]
    public void Plan_SharedPath_IsNotCopied()
    {
        string bundle = Directory.CreateDirectory(Path.Combine(_root, "c1")).FullName, shared = Directory.CreateDirectory(Path.Combine(_root, "nfs")).FullName;

        TreePlan plan = Plan(bundle, $"{bundle}/rootfs", new Dictionary<string, string> { ["evacuator.shared-paths"] = $"{shared}, /other" }, Bind($"{shared}/x", "/x"));

        Assert.Empty(plan.Faults);
        Assert.Equal(bundle, Assert.Single(plan.Trees).Path);
        Assert.Equal([shared, "/other"], plan.SharedPaths);
    }

    [Theory]
    [InlineData("/etc/ssh", "/keys", "rw", "/etc/ssh")]
    [InlineData("/nowhere/at/all", "/x", "rw", "does not exist")]
    [InlineData("/srv", "/x", "rw", "others use too")]
    [InlineData("/var/lib", "/x", "rw", "others use too")]
    public void Plan_BindOfTheHostsOwn_IsAFault(string source, string destination, string option, string reason)
    {
        string bundle = Directory.CreateDirectory(Path.Combine(_root, "c1")).FullName;

        TreePlan plan = Plan(bundle, $"{bundle}/rootfs", Bind(source, destination, option));

        Blocker fault = Assert.Single(plan.Faults);
        Assert.Equal(BlockerCode.UnsupportedMount, fault.Code);
        Assert.Contains(reason, fault.Text);
    }

    [Fact]
    public void Plan_SocketOrLinkOrMountInside_IsAFault()
    {
        string bundle = Directory.CreateDirectory(Path.Combine(_root, "c1")).FullName;
        string link = Path.Combine(_root, "link");
        Directory.CreateSymbolicLink(link, bundle);
        string socket = Path.Combine(_root, "s");
        using System.Net.Sockets.Socket listener = new(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, 0);
        listener.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(socket));

        TreePlan plan = TreePlan.Make(
            bundle, $"{bundle}/rootfs", Config(null, Bind(socket, "/s"), Bind($"{link}", "/l")),
            ProcFiles.ParseMounts($"50 1 0:40 / {bundle}/rootfs rw - overlay overlay rw\n51 1 0:41 / {_root}/elsewhere rw - tmpfs tmpfs rw"));

        Assert.Contains(plan.Faults, f => f.Text.Contains("is a socket"));
        Assert.Contains(plan.Faults, f => f.Text.Contains($"symbolic link {link}"));
        Assert.Contains(plan.Faults, f => f.Text.Contains("overlay"));
        Assert.Equal(3, plan.Faults.Count);
    }

    private static TreePlan Plan(string bundle, string rootfs, params string[] mounts) => Plan(bundle, rootfs, null, mounts);

    private static TreePlan Plan(string bundle, string rootfs, Dictionary<string, string>? annotations, params string[] mounts) =>
        TreePlan.Make(bundle, rootfs, Config(annotations, mounts), []);

    private static IReadOnlyList<TreeDescription> InUse(string bundle, params string[] mounts)
    {
        OciConfig config = Config(null, mounts);
        return TreePlan.InUse(bundle, config, TreePlan.Make(bundle, $"{bundle}/rootfs", config, []));
    }

    private static OciConfig Config(Dictionary<string, string>? annotations, params string[] mounts) => OciConfig.Parse(
        $$"""{"root":{"path":"rootfs"},"annotations":{{System.Text.Json.JsonSerializer.Serialize(annotations ?? [])}},"mounts":[{{string.Join(',', mounts)}}]}""", "config.json");

    private static string Bind(string source, string destination, string option = "rw") =>
        $$"""{"destination":"{{destination}}","type":"bind","source":"{{source}}","options":["rbind","{{option}}"]}""";
}
