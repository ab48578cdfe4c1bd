using Evacuator.NodeAgent.Memory.Convergence;
using Evacuator.NodeAgent.Migration;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Migration;

public sealed class FreezeExperienceTests : IDisposable
{
    private static readonly FreezeShape Whole = new(Processes: 1, Threads: 1, Mappings: 30, TrackedBytes: 0, ResidualBytes: 0, UntrackedBytes: 1 << 30, BytesPerSecond: 100e6, Whole: true);

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

    [Fact]
    public void Learn_OfAWholeMemory_TeachesNothingAboutTheEngine()
    {
        FreezeExperience experience = new(file: null);
        (FreezeModel model, TimeSpan before) = (experience.Model, experience.BeforeRelease(TimeSpan.FromSeconds(10)));
        experience.Learn(new FreezeSample(Whole, TimeSpan.FromSeconds(60)), resume: 20_000);
        Assert.Equal((model, before), (experience.Model, experience.BeforeRelease(TimeSpan.FromSeconds(10))));
        Assert.Equal(1, experience.WholeModel.Samples);
        Assert.True(experience.WholeModel.Predict(Whole) > model.Predict(Whole));
        TimeSpan learned = experience.WholeModel.Predict(Whole);
        experience.Doubt(whole: true);
        Assert.True(experience.WholeModel.Predict(Whole) < learned);
        Assert.Equal(model, experience.Model);
    }

    [Fact]
    public void Experience_OfWholeMemories_SurvivesARestart()
    {
        using TemporaryFolder folder = new();
        FreezeExperience experience = new(Path.Combine(folder.Path, "model"));
        experience.Learn(new FreezeSample(Whole, TimeSpan.FromSeconds(60)), resume: null);
        Assert.Equal(experience.WholeModel, new FreezeExperience(Path.Combine(folder.Path, "model")).WholeModel);
    }

    /// <summary>1 GiB at 100 MB/s takes 11 s on the wire alone; 8 MiB take less than the processes do.</summary>
    [Theory]
    [InlineData(1024, 10_000, false)]
    [InlineData(1024, 20_000, true)]
    [InlineData(8, 300, true)]
    [InlineData(64, 300, false)]
    public void Plain_AllOfItsMemory_IsPredicted(int mib, int budgetMs, bool fits)
    {
        string? why = SourceMove.WhyNotPlain(FreezeModel.Initial, Whole with { UntrackedBytes = (ulong)mib << 20 }, TimeSpan.FromMilliseconds(budgetMs));
        Assert.Equal(fits, why is null);
        if (!fits)
            Assert.Contains($"of {budgetMs} ms: all of its {mib} MiB of memory travel meanwhile, at 100 MB/s", why, StringComparison.Ordinal);
    }
}
