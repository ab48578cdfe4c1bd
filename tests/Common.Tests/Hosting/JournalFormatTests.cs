using Evacuator.Common.Configuration;
using Evacuator.Common.Hosting;
using Serilog.Events;
using Serilog.Parsing;

namespace Evacuator.Common.Tests.Hosting;

public sealed class JournalFormatTests
{
    [Theory]
    [InlineData(LogEventLevel.Fatal, "<2>")]
    [InlineData(LogEventLevel.Error, "<3>")]
    [InlineData(LogEventLevel.Warning, "<4>")]
    [InlineData(LogEventLevel.Information, "<6>")]
    [InlineData(LogEventLevel.Debug, "<7>")]
    public void Format_ForTheJournal_PriorityAndShortSource(LogEventLevel level, string prefix) =>
        Assert.Equal($"{prefix}Mover: moved 3\n", Format(new JournalFormat(journal: true), level, "moved {Count}", 3));

    [Fact]
    public void Format_Elsewhere_TimeAndLevel() =>
        Assert.Equal("12:03:04.567 warning     Mover: moved 3\n", Format(new JournalFormat(journal: false), LogEventLevel.Warning, "moved {Count}", 3));

    [Fact]
    public void Format_TextFromOutside_CannotForgeALine() =>
        Assert.Equal("<6>Mover: said \"hello | <2>fake  [0m\"\n", Format(new JournalFormat(journal: true), LogEventLevel.Information, "said {Text}", "hello\n\n<2>fake \u001b[0m"));

    [Fact]
    public void Format_Exception_StaysOnTheLine()
    {
        string line = Format(new JournalFormat(journal: true), LogEventLevel.Error, "failed {What}", 1, new IOException("no\nroom", new TimeoutException("late")));

        Assert.Equal("<3>Mover: failed 1 | System.IO.IOException: no | room | ---> System.TimeoutException: late | --- End of inner exception stack trace ---\n", line);
    }

    [Fact]
    public void Report_Mistakes_AllInOneAndExitCode78()
    {
        StringWriter output = new();

        int code = StartupFailure.Report("evacuator", [new("/etc/a.conf", 3, "bad"), new("/etc/b", 0, "missing")], output);

        Assert.Equal(78, code);
        Assert.Equal("evacuator cannot start, 2 mistakes in the configuration:\n  /etc/a.conf:3: bad\n  /etc/b: missing\n", output.ToString());
    }

    private static string Format(JournalFormat format, LogEventLevel level, string template, object value, Exception? exception = null)
    {
        MessageTemplate parsed = new MessageTemplateParser().Parse(template);
        string name = parsed.Tokens.OfType<PropertyToken>().Single().PropertyName;
        LogEvent message = new(
            new DateTimeOffset(2026, 3, 1, 12, 3, 4, 567, TimeSpan.Zero), level, exception, parsed,
            [new(name, new ScalarValue(value)), new("SourceContext", new ScalarValue("Evacuator.Moves.Mover"))]);
        StringWriter output = new();
        format.Format(message, output);
        return output.ToString();
    }
}
