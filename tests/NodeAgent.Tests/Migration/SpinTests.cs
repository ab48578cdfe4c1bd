using System.ComponentModel;
using System.Diagnostics;
using System.Text.RegularExpressions;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Migration;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Migration;

/// <summary>A test that needs the model checker spin and a C compiler.</summary>
public sealed class SpinFactAttribute : FactAttribute
{
    public SpinFactAttribute() => Skip = SpinTools.WhyMissing;
}

/// <summary>Like <see cref="SpinFactAttribute"/>, with data rows.</summary>
public sealed class SpinTheoryAttribute : TheoryAttribute
{
    public SpinTheoryAttribute() => Skip = SpinTools.WhyMissing;
}

internal static class SpinTools
{
    public static string? WhyMissing { get; } = File.Exists("/usr/bin/spin") && File.Exists("/usr/bin/gcc") ? null : "needs spin and gcc: apt-get install spin gcc libc6-dev";
}

/// <summary>
/// The handover in Promela, checked by spin: the same protocol as <see cref="HandoverModelTests"/> explores, written down a second time in another language and judged by
/// a tool that knows nothing of us. Variants with one rule left out show that it would notice.
/// </summary>
public sealed partial class SpinTests
{
    private static readonly string s_model = Path.Combine(Prerequisites.ProjectRoot, "tests", "Model", "handover.pml");

    [SpinFact]
    public void Handover_LossDuplicationRestartsReboots_NeverTwoAndNothingRemovedTooEarly() => Assert.Equal(0, Errors([], ["-DSAFETY", "-DNOCLAIM"], []));

    [SpinFact]
    public void Handover_NoReboot_OneRunsInTheEnd() => Assert.Equal(0, Errors(["-DNO_REBOOT"], ["-DNFAIR=4"], ["-a", "-f"]));

    [SpinTheory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(9)]
    [InlineData(10)]
    public void Handover_ARuleLeftOut_IsFoundOut(int rule) => Assert.Equal(1, Errors([$"-DBREAK_{rule}"], ["-DSAFETY", "-DNOCLAIM"], ["-E"]));

    [SpinFact]
    public void Handover_FailureNotTold_IsFoundOutAsAWaitWithoutEnd() => Assert.Equal(1, Errors(["-DNO_REBOOT", "-DBREAK_8"], ["-DSAFETY", "-DNOCLAIM"], []));

    [Fact]
    public void Model_ItsTables_AreTheProducts()
    {
        Assert.Equal(
            Table(SourceTransitions.Next, SourcePhase.None, default(SourceInput)), Stated("source"));
        Assert.Equal(
            Table(DestinationTransitions.Next, DestinationPhase.None, default(DestinationInput)), Stated("destination"));
    }

    /// <summary>Every phase of the tables is a state of the model, and the other way round.</summary>
    [Fact]
    public void Model_ItsStates_AreThePhases()
    {
        string model = File.ReadAllText(s_model);
        Assert.Equal(Enum.GetNames<SourcePhase>().Where(name => name != "None").Order(), States("source").Order());
        Assert.Equal(Enum.GetNames<DestinationPhase>().Where(name => name != "None").Order(), States("destination").Order());

        string[] States(string kind) => Regex.Match(model, $@"mtype:{kind} = \{{ ([^}}]*) \}}").Groups[1].Value.Split(", ");
    }

    private static List<string> Table<TPhase, TInput>(Func<TPhase, TInput, TPhase?> next, TPhase none, TInput _) where TPhase : struct, Enum where TInput : struct, Enum =>
    [
        .. from phase in Enum.GetValues<TPhase>()
           where !phase.Equals(none)
           from input in Enum.GetValues<TInput>()
           let after = next(phase, input)
           where after is not null
           let line = $"{phase} {input} {after}"
           orderby line
           select line,
    ];

    private static List<string> Stated(string table) =>
        [.. Regex.Match(File.ReadAllText(s_model), $@"/\* table {table}\n((?: \* \w+ \w+ \w+\n)+)").Groups[1].Value.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line[3..]).Order()];

    /// <summary>How many errors the checker finds (it stops at the first).</summary>
    private static int Errors(string[] variant, string[] compiler, string[] checker)
    {
        using TemporaryFolder folder = new();
        Run(folder.Path, "spin", [.. variant, "-a", s_model]);
        Run(folder.Path, "gcc", ["-O1", .. compiler, "-o", "pan", "pan.c"]);
        string output = Run(folder.Path, Path.Combine(folder.Path, "pan"), [.. checker, "-m1000000"]);
        Assert.DoesNotContain("max search depth too small", output, StringComparison.Ordinal);
        Match errors = ErrorsPattern().Match(output);
        Assert.True(errors.Success, output);
        return int.Parse(errors.Groups[1].Value);
    }

    [GeneratedRegex(@"errors: (\d+)")]
    private static partial Regex ErrorsPattern();

    private static string Run(string folder, string program, IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new(program, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        using Process process = Process.Start(start) ?? throw new Win32Exception($"{program} does not start");
        process.StandardInput.Close();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} ended with {process.ExitCode}: {output}{errors.Result}");
        return output;
    }
}
