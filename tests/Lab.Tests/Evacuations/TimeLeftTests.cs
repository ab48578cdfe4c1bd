using Evacuator.Testing;
using Xunit.Abstractions;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>The time that is left, told while containers of different sizes move over a link that takes seconds for each, against what it was.</summary>
[Collection(RackCollection.Name)]
public sealed class TimeLeftTests(ProductRack rack, ITestOutputHelper output)
{
    private static readonly int[] s_mebibytes = [48, 24, 36, 18];

    [LabFact]
    public Task TimeLeft_ToldWhileContainersMove_HalfOfTheFiguresAreNearTheTruth() => rack.RunAsync(async scene =>
    {
        await scene.Node1.ConfigureAsync("[move]\nparallel = 1\nbandwidth = 16\n");
        await scene.Node1.RestartAsync();
        await scene.Node1.UpAsync();
        List<string> names = [];
        foreach (int size in s_mebibytes)
            names.Add((await scene.RunWorkloadAsync(scene.Node1, "memory", "--arg", $"{size}", "--arg", "1")).Name);

        TimeLeft told = new();
        Report report = await told.FollowAsync(await scene.Node1.EvacuateAsync());

        output.WriteLine($"{told}");
        Assert.All(names, name => Assert.Equal("moved", report.Of(name).State));
        Assert.True(told.OffBy.Count >= 5, $"{told}");
        Assert.True(told.Median <= 0.5, $"{told}; {report}");
    });
}
