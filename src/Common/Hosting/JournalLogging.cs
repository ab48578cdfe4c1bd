using Evacuator.Common.Configuration;
using Microsoft.Extensions.Logging;
using Serilog;
using Serilog.Core;
using Serilog.Events;

namespace Evacuator.Common.Hosting;

/// <summary>Sends Microsoft.Extensions.Logging to standard error in <see cref="JournalFormat"/>.</summary>
public static class JournalLogging
{
    /// <summary>Replaces all other providers. Framework messages below warning are left out, whatever the level, unless it is debug.</summary>
    public static ILoggingBuilder AddJournal(this ILoggingBuilder logging, LogOptions options)
    {
        LogEventLevel level = Level(options.Level);
        LogEventLevel framework = level <= LogEventLevel.Debug ? LogEventLevel.Information : (LogEventLevel)Math.Max((int)level, (int)LogEventLevel.Warning);
        Logger logger = new LoggerConfiguration()
            .MinimumLevel.Is(level)
            .MinimumLevel.Override("Microsoft", framework)
            .MinimumLevel.Override("System", framework)
            .WriteTo.Console(new JournalFormat(JournalFormat.IsJournal), standardErrorFromLevel: LogEventLevel.Verbose)
            .CreateLogger();
        logging.ClearProviders();
        logging.SetMinimumLevel(level <= LogEventLevel.Debug ? LogLevel.Debug : LogLevel.Information);
        return logging.AddSerilog(logger, dispose: true);
    }

    private static LogEventLevel Level(string word) => word switch
    {
        "debug" => LogEventLevel.Debug,
        "warning" => LogEventLevel.Warning,
        "error" => LogEventLevel.Error,
        _ => LogEventLevel.Information,
    };
}
