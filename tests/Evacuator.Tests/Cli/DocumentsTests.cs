using System.CommandLine;
using System.Diagnostics;
using Evacuator.Cli;
using Evacuator.Testing;

namespace Evacuator.Tests.Cli;

/// <summary>The manual page and the completion know exactly the commands and options that the program has.</summary>
public sealed class DocumentsTests
{
    private static readonly string Packaging = Path.Combine(Prerequisites.ProjectRoot, "packaging");

    [Fact]
    public void Manual_EveryCommandAndOption_IsThere()
    {
        string page = File.ReadAllText(Path.Combine(Packaging, "man", "evacuator.1")).Replace("\\-", "-", StringComparison.Ordinal);
        string[] entries = [.. page.Split(".TP\n").Skip(1)];

        foreach ((string[] path, Command command) in Leaves([], EvacuatorCommand.Create()))
        {
            string name = string.Join(' ', path);
            string entry = Assert.Single(entries, text => text.StartsWith($"\\fB{name}\\fR", StringComparison.Ordinal) || text.StartsWith($"\\fB{name} ", StringComparison.Ordinal));
            Assert.All(Options(command), option => Assert.Contains(option, entry.Split('\n')[0], StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Manual_ExitStatus_IsTheProgramsOwnTable()
    {
        string page = File.ReadAllText(Path.Combine(Packaging, "man", "evacuator.1")).Replace("\\-", "-", StringComparison.Ordinal);
        string section = page.Split(".SH EXIT STATUS\n")[1].Split("\n.SH ")[0];
        (int, string)[] entries = [.. section.Split(".TP\n", StringSplitOptions.RemoveEmptyEntries).Select(entry => entry.Trim().Split('\n', 2))
            .Select(lines => (int.Parse(lines[0][".B ".Length..], System.Globalization.CultureInfo.InvariantCulture), lines[1]))];
        int[] constants = [.. typeof(CliExit).GetFields().Where(field => field.IsLiteral).Select(field => (int)field.GetRawConstantValue()!)];

        Assert.Equal(CliExit.All, entries);
        Assert.Equal(constants.Order(), CliExit.All.Select(entry => entry.Code));
    }

    [Fact]
    public void Completion_AtEveryCommand_OffersItsCommandsAndOptions()
    {
        foreach ((string[] path, Command command) in All([], EvacuatorCommand.Create()))
        {
            IEnumerable<string> expected = command.Subcommands.Where(sub => !sub.Hidden).Select(sub => sub.Name).Concat(Options(command)).Append("--help");
            IEnumerable<string> words = command.Arguments.SelectMany(argument => argument.GetCompletions(System.CommandLine.Completions.CompletionContext.Empty)).Select(item => item.Label);

            Assert.Equal(expected.Concat(words).Order(), Complete([.. path, ""]).Order());
        }
    }

    [Fact]
    public void Completion_AfterAnOptionWithAValue_OffersNothing() => Assert.Empty(Complete(["start", "--reason", ""]));

    [Fact]
    public void Completion_OfAWordBegun_OffersWhatFits() => Assert.Equal(["--power-off"], Complete(["start", "--wait", "--po"]));

    private static IEnumerable<(string[] Path, Command Command)> All(string[] path, Command command)
    {
        yield return (path, command);
        foreach (Command sub in command.Subcommands.Where(sub => !sub.Hidden))
        {
            foreach ((string[], Command) inner in All([.. path, sub.Name], sub))
                yield return inner;
        }
    }

    private static IEnumerable<(string[] Path, Command Command)> Leaves(string[] path, Command command) => All(path, command).Where(pair => pair.Command.Subcommands.Count == 0);

    private static IEnumerable<string> Options(Command command) =>
        command is RootCommand ? [] : command.Options.Where(option => !option.Hidden && option.Name is not ("--help" or "--version")).Select(option => option.Name);

    /// <summary>What bash would offer for the last of these words, in an empty folder.</summary>
    private static string[] Complete(string[] words)
    {
        using TemporaryFolder folder = new();
        const string Script = """
            source "$1"; shift
            COMP_WORDS=(evacuator "$@"); COMP_CWORD=$#
            _evacuator; printf '%s\n' "${COMPREPLY[@]}"
            """;
        using Process bash = Process.Start(new ProcessStartInfo("bash", ["-c", Script, "bash", Path.Combine(Packaging, "completion", "evacuator"), .. words])
        {
            RedirectStandardOutput = true,
            WorkingDirectory = folder.Path,
        })!;
        string output = bash.StandardOutput.ReadToEnd();
        bash.WaitForExit();
        Assert.Equal(0, bash.ExitCode);
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
