using System.Text;
using Serilog.Events;
using Serilog.Formatting;

namespace Evacuator.Common.Hosting;

/// <summary>
/// One message, one line. For journald, which keeps the time itself, "&lt;N&gt;Source: message" with N the syslog priority (sd-daemon(3)); elsewhere
/// "12:03:04.567 warning Source: message". Exceptions follow on the same line, their lines joined by " | ". Control characters, which text from a
/// BMC or a peer may hold, become spaces.
/// </summary>
internal sealed class JournalFormat(bool journal) : ITextFormatter
{
    /// <summary>Whether our standard error goes to journald, as systemd says by $JOURNAL_STREAM.</summary>
    public static bool IsJournal { get; } = !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("JOURNAL_STREAM"));

    public void Format(LogEvent logEvent, TextWriter output)
    {
        StringBuilder line = new();
        line.Append(journal ? $"<{Priority(logEvent.Level)}>" : $"{logEvent.Timestamp.UtcDateTime:HH:mm:ss.fff} {Word(logEvent.Level),-11} ");
        if (logEvent.Properties.TryGetValue("SourceContext", out LogEventPropertyValue? source) && source is ScalarValue { Value: string name })
            line.Append(name.AsSpan(name.LastIndexOf('.') + 1)).Append(": ");
        line.Append(OneLine(logEvent.RenderMessage(System.Globalization.CultureInfo.InvariantCulture)));
        if (logEvent.Exception is { } exception)
            line.Append(" | ").Append(OneLine(exception.ToString()));
        output.WriteLine(line);
    }

    public static string OneLine(string text)
    {
        if (!text.Any(char.IsControl))
            return text;
        IEnumerable<string> lines = text.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0);
        return string.Concat(string.Join(" | ", lines).Select(c => char.IsControl(c) ? ' ' : c));
    }

    private static int Priority(LogEventLevel level) => level switch
    {
        LogEventLevel.Fatal => 2,
        LogEventLevel.Error => 3,
        LogEventLevel.Warning => 4,
        LogEventLevel.Information => 6,
        _ => 7,
    };

    private static string Word(LogEventLevel level) => level.ToString().ToLowerInvariant();
}
