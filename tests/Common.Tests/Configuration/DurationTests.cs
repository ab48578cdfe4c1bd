using Evacuator.Common.Configuration;

namespace Evacuator.Common.Tests.Configuration;

public sealed class DurationTests
{
    [Theory]
    [InlineData("300ms", 300)]
    [InlineData("5s", 5_000)]
    [InlineData("2min", 120_000)]
    [InlineData("1h", 3_600_000)]
    [InlineData("1d", 86_400_000)]
    [InlineData("1min 30s", 90_000)]
    [InlineData("1min30s", 90_000)]
    [InlineData(" 2 s ", 2_000)]
    public void TryParse_Permitted_IsRead(string text, long milliseconds)
    {
        Assert.True(Duration.TryParse(text, out TimeSpan duration));
        Assert.Equal(TimeSpan.FromMilliseconds(milliseconds), duration);
    }

    [Theory]
    [InlineData("")]
    [InlineData("5")]
    [InlineData("s")]
    [InlineData("-5s")]
    [InlineData("1.5s")]
    [InlineData("5 sec")]
    [InlineData("5m")]
    [InlineData("9999999999999s")]
    [InlineData("999999999999d")]
    [InlineData("10675199d 10675199d")]
    public void TryParse_AnythingElse_IsRefused(string text) => Assert.False(Duration.TryParse(text, out _));

    [Fact]
    public void Format_WholeMilliseconds_AreReadBack()
    {
        Random random = new(3);
        for (int round = 0; round < 1000; round++)
        {
            TimeSpan duration = TimeSpan.FromMilliseconds(random.NextInt64(1, 1L << random.Next(1, 45)));

            Assert.True(Duration.TryParse(Duration.Format(duration), out TimeSpan read));
            Assert.Equal(duration, read);
        }
    }
}
