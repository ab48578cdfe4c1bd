using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Tests.Transfer;

public sealed class CompressionChoiceTests
{
    private const int MiB = 1 << 20;

    /// <summary>Megabytes a second of the wire and of compressing, and what is left of a byte.</summary>
    [Theory]
    [InlineData(25, 500, 0.5, true)]
    [InlineData(118, 500, 0.5, true)]
    [InlineData(118, 500, 0.9, false)]
    [InlineData(118, 150, 0.5, false)]
    [InlineData(300, 500, 0.5, false)]
    [InlineData(1000, 500, 0.1, false)]
    public void Choice_ByWhatWasMeasured(int wire, int packing, double ratio, bool pays)
    {
        CompressionChoice choice = new(allowed: true);
        for (int i = 0; i < 8; i++)
            Measure(choice, wire, packing, ratio);
        Assert.Equal(pays, choice.Pays);
    }

    [Fact]
    public void Choice_OnAFastWire_LearnsNowAndThen()
    {
        CompressionChoice choice = new(allowed: true);
        List<bool> chosen = [];
        for (int i = 0; i < 100; i++)
        {
            chosen.Add(choice.Next());
            if (chosen[^1])
                choice.Compressed(MiB, MiB / 2, TimeSpan.FromMilliseconds(2));
            choice.Sent(MiB, TimeSpan.FromMilliseconds(1));
        }
        Assert.True(chosen[0]);
        Assert.InRange(chosen.Count(yes => yes), 3, 5);
    }

    /// <summary>The wire becomes slow, and the memory one that cannot be compressed.</summary>
    [Fact]
    public void Choice_WhenThingsChange_Follows()
    {
        CompressionChoice choice = new(allowed: true);
        for (int i = 0; i < 20; i++)
            Measure(choice, 1000, 500, 0.5);
        Assert.False(choice.Pays);
        for (int i = 0; i < 40; i++)
            Measure(choice, 20, 500, 0.5);
        Assert.True(choice.Pays);
        for (int i = 0; i < 40; i++)
            Measure(choice, 20, 500, 1);
        Assert.False(choice.Pays);
    }

    [Fact]
    public void Choice_NotAllowed_IsNever() => Assert.False(new CompressionChoice(allowed: false).Next());

    private static void Measure(CompressionChoice choice, int wire, int packing, double ratio)
    {
        choice.Compressed(MiB, (int)(MiB * ratio), TimeSpan.FromSeconds(MiB / 1e6 / packing));
        choice.Sent(MiB, TimeSpan.FromSeconds(MiB / 1e6 / wire));
    }
}
