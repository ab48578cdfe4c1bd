using Evacuator.Common.Configuration;

namespace Evacuator.Common.Tests.Configuration;

public sealed class IniFileTests
{
    [Fact]
    public void Parse_SystemdDialect_ValuesAreLiteral()
    {
        IniFile file = IniFile.Parse("f",
            """
            # comment
            ; comment

              [a]
            key=value with  spaces   
            hash = one # two ; three
            equals = a=b
            empty =
            long = one \
            # a comment between
               two \
               three
            [b]
            key = "quoted"
            """.ReplaceLineEndings("\r\n"));

        Assert.Empty(file.Mistakes);
        Assert.Equal(
            [
                new("a", "key", "value with  spaces", 5), new("a", "hash", "one # two ; three", 6), new("a", "equals", "a=b", 7),
                new("a", "empty", "", 8), new("a", "long", "one two three", 9), new("b", "key", "\"quoted\"", 14),
            ],
            file.Entries);
        Assert.Equal([new("a", 4), new("b", 13)], file.Sections);
    }

    [Fact]
    public void Parse_BackslashAtTheEnd_EndsThere()
    {
        IniFile file = IniFile.Parse("f", "[a]\nkey = one \\");

        Assert.Equal([new("a", "key", "one", 2)], file.Entries);
    }

    [Fact]
    public void Parse_AnyText_NeverThrows()
    {
        // Deterministic noise over the characters that mean something.
        const string Alphabet = "[]=#;\\\"\n\r\t ab\0é";
        Random random = new(7);
        for (int round = 0; round < 5000; round++)
        {
            string text = new([.. Enumerable.Range(0, random.Next(40)).Select(_ => Alphabet[random.Next(Alphabet.Length)])]);
            int lines = text.Split('\n').Length;

            IniFile file = IniFile.Parse("f", text);

            Assert.All(file.Entries, entry => Assert.InRange(entry.Line, 1, lines));
            Assert.All(file.Mistakes, mistake => Assert.InRange(mistake.Line, 1, lines));
        }
    }
}
