using Evacuator.Common.Fleet;

namespace Evacuator.Common.Tests.Fleet;

public sealed class JoinTokenTests
{
    private static readonly string Fingerprint = string.Concat(Enumerable.Repeat("0AF3", 16));

    [Fact]
    public void Parse_WhatWasMade_IsTheSame()
    {
        JoinToken made = JoinToken.Make(Fingerprint);

        JoinToken read = JoinToken.Parse($"  {made.ToText()}\n");

        Assert.Equal((made.Id, made.Secret, made.SecretHash, Fingerprint), (read.Id, read.Secret, read.SecretHash, read.Fingerprint));
        Assert.DoesNotContain(made.Secret, made.ToString(), StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void Parse_AnyCharacterMissingOrOther_SaysThatItIsNotWhole()
    {
        string text = JoinToken.Make(Fingerprint).ToText();
        for (int at = 5; at < text.Length; at++)
        {
            string without = text.Remove(at, 1);
            string other = text[..at] + (text[at] == 'A' ? 'B' : 'A') + text[(at + 1)..];
            Assert.Contains("not whole", Assert.Throws<FleetSetupException>(() => JoinToken.Parse(without)).Message, StringComparison.Ordinal);
            // The last character has spare bits that say nothing.
            if (at < text.Length - 1)
                Assert.Contains("not whole", Assert.Throws<FleetSetupException>(() => JoinToken.Parse(other)).Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("hello")]
    [InlineData("evj2_AAAA")]
    public void Parse_SomethingElse_SaysWhatATokenLooksLike(string text) =>
        Assert.Contains("begins with evj1_", Assert.Throws<FleetSetupException>(() => JoinToken.Parse(text)).Message, StringComparison.Ordinal);
}
