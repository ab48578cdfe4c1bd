using Evacuator.NodeAgent.Memory.Convergence;
using Evacuator.NodeAgent.Migration;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Migration;

public sealed class FreezeExperienceTests : IDisposable
{
    private static readonly FreezeShape Shape = new(Processes: 1, Threads: 1, Mappings: 30, TrackedBytes: 1 << 30, ResidualBytes: 1 << 20, UntrackedBytes: 0, BytesPerSecond: 1e9);

    private readonly TemporaryFolder _folder = new();

    private string File => Path.Combine(_folder.Path, "freeze-model.json");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Experience_Learned_IsThereAfterARestart()
    {
        FreezeExperience before = new(File);
        for (int i = 0; i < 20; i++)
            before.Learn(new FreezeSample(Shape, TimeSpan.FromMilliseconds(400)), resume: 200);
        FreezeExperience after = new(File);
        Assert.Equal(before.Model, after.Model);
        Assert.InRange(after.Model.Expect(Shape).TotalMilliseconds, 350, 400);
        Assert.InRange(after.BeforeRelease(TimeSpan.FromSeconds(1)).TotalMilliseconds, 800, 810);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("""{"Model":{"FixedMilliseconds":60,"Scale":900,"Spread":0.1,"Samples":3},"ResumeMilliseconds":80}""")]
    public void Experience_ThatCannotBeRight_IsNotUsed(string text)
    {
        System.IO.File.WriteAllText(File, text);
        Assert.Equal(FreezeModel.Initial, new FreezeExperience(File).Model);
    }

    [Fact]
    public void BeforeRelease_OfASmallBudget_IsAtLeastHalfOfIt() =>
        Assert.Equal(TimeSpan.FromMilliseconds(25), new FreezeExperience(null).BeforeRelease(TimeSpan.FromMilliseconds(50)));

    [Fact]
    public void Doubt_AfterABadHour_LetsContainersMoveAgain()
    {
        FreezeExperience experience = new(null);
        for (int i = 0; i < 50; i++)
            experience.Learn(new FreezeSample(Shape, TimeSpan.FromSeconds(20)), resume: null);
        TimeSpan budget = TimeSpan.FromMilliseconds(150);
        Assert.True(experience.Model.Predict(Shape) > budget);
        int refusals = 0;
        for (; experience.Model.Predict(Shape) > budget && refusals < 100; refusals++)
            experience.Doubt();
        Assert.InRange(refusals, 2, 40);
    }
}
