using Evacuator.Common.Configuration;

namespace Evacuator.Common.Hosting;

/// <summary>The one report of everything that keeps a service from starting, before anything of it has started.</summary>
public static class StartupFailure
{
    /// <summary>Prints all mistakes, each on a line as file:line: text, and returns <see cref="ExitCodes.Configuration"/>. Under journald the lines have priority err.</summary>
    public static int Report(string program, IReadOnlyCollection<ConfigurationMistake> mistakes, TextWriter? output = null)
    {
        output ??= Console.Error;
        string priority = JournalFormat.IsJournal ? "<3>" : "";
        output.WriteLine($"{priority}{program} cannot start, {(mistakes.Count == 1 ? "one mistake" : $"{mistakes.Count} mistakes")} in the configuration:");
        foreach (ConfigurationMistake mistake in mistakes)
            output.WriteLine($"{priority}  {JournalFormat.OneLine(mistake.ToString())}");
        output.Flush();
        return ExitCodes.Configuration;
    }
}
