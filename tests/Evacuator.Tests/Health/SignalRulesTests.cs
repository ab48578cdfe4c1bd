using Evacuator.Common.Configuration;
using Evacuator.Health;
using Evacuator.Redfish.Health;
using Evacuator.Testing;

namespace Evacuator.Tests.Health;

public sealed class SignalRulesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string File => Path.Combine(_folder.Path, "evacuator.conf");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Read_OwnRule_ComesBeforeTheBuiltInOnes()
    {
        SignalRules rules = Read("""
            [rule noisy-fan]
            component = fan temperature
            kind = failed, degraded
            severity = warning critical
            predicted = no
            state = Enabled
            message = FAN0001
            part = Fan 3
            last = no
            action = ignore
            """);
        SignalRule rule = rules.All[0];
        Assert.Equal(("noisy-fan", RuleAction.Ignore, "Fan 3", false, false, $"{File}:1"), (rule.Name, rule.Action, rule.Part, rule.Predicted, rule.Last, rule.Source));
        Assert.Equal([ComponentKind.Fan, ComponentKind.Temperature], rule.Components);
        Assert.Equal([SignalKind.Failed, SignalKind.Degraded], rule.Kinds);
        Assert.Equal([SignalSeverity.Warning, SignalSeverity.Critical], rule.Severities);
        Assert.Equal(["Enabled"], rule.States);
        Assert.Equal(["FAN0001"], rule.Messages);
        Assert.Equal(SignalRules.Default.All.Select(each => each.Name), rules.All.Skip(1).Select(each => each.Name));
    }

    [Fact]
    public void Read_NameOfABuiltInRule_ChangesThatInPlace()
    {
        SignalRules rules = Read("[rule predicted-failure]\naction = evacuate-and-power-off\n");
        int index = SignalRules.Default.All.ToList().FindIndex(rule => rule.Name == "predicted-failure");
        Assert.Equal(SignalRules.Default.All[index] with { Action = RuleAction.EvacuateAndPowerOff, Source = $"{File}:1" }, rules.All[index]);
        Assert.Equal(SignalRules.Default.All.Count, rules.All.Count);
    }

    [Fact]
    public void Read_DropIn_ChangesSingleKeysAndTakesThemBack()
    {
        Directory.CreateDirectory(File + ".d");
        System.IO.File.WriteAllText(Path.Combine(File + ".d", "20.conf"), "[rule x]\naction = notify\nseverity =\n");
        SignalRule rule = Read("[rule x]\nseverity = critical\ncomponent = drive\naction = evacuate\n").All[0];
        Assert.Equal((RuleAction.Notify, 0, ComponentKind.Drive), (rule.Action, rule.Severities.Count, rule.Components[0]));
    }

    [Fact]
    public void Read_Mistakes_AllOfThemWithFileAndLine()
    {
        System.IO.File.WriteAllText(File, """
            [rule one]
            component = dimm
            severity = ok
            predicted = maybe
            sevrity = critical
            action = evacuate notify
            [rule two]
            kind = failed
            [rule ]
            action = ignore
            """);
        ConfigurationResult configuration = ConfigurationLoader.Load(File);
        string[] told = [.. configuration.Mistakes.Concat(SignalRulesReader.Read(configuration.Rules).Mistakes).Select(mistake => mistake.ToString())];
        Assert.Equal(7, told.Length);
        Assert.Contains(told, text => text.StartsWith($"{File}:2: component = dimm: \"dimm\" is none of", StringComparison.Ordinal) && text.Contains("memory", StringComparison.Ordinal));
        Assert.Contains(told, text => text.StartsWith($"{File}:3: ", StringComparison.Ordinal));
        Assert.Contains(told, text => text.StartsWith($"{File}:4: predicted = maybe: must be yes or no", StringComparison.Ordinal));
        Assert.Contains(told, text => text == $"{File}:5: unknown key \"sevrity\" in a rule; did you mean severity?");
        Assert.Contains(told, text => text == $"{File}:6: action = evacuate notify: a rule has one action");
        Assert.Contains(told, text => text.StartsWith($"{File}:7: [rule two] has no action", StringComparison.Ordinal));
        Assert.Contains(told, text => text.StartsWith($"{File}:9: a rule needs a name", StringComparison.Ordinal));
    }

    [Fact]
    public void Default_LastRule_MatchesEverything() => Assert.Equal(
        RuleAction.Notify, SignalRules.Default.For(Signals.Make(ComponentKind.Unknown, SignalKind.Unknown), _ => false).Action);

    private SignalRules Read(string text)
    {
        System.IO.File.WriteAllText(File, text);
        ConfigurationResult configuration = ConfigurationLoader.Load(File);
        Assert.Empty(configuration.Mistakes);
        return SignalRulesReader.Read(configuration.Rules).Value!;
    }
}
