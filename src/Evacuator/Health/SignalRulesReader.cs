using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Redfish.Health;

namespace Evacuator.Health;

/// <summary>Makes rules of the sections [rule NAME]. All mistakes are found in one pass, each with its file and line.</summary>
/// <remarks>
/// <code>
/// [rule noisy-fan]
/// component = fan
/// part = Fan 3
/// action = ignore
/// </code>
/// </remarks>
internal static class SignalRulesReader
{
    private static readonly string[] Keys = ["component", "kind", "severity", "predicted", "state", "message", "part", "last", "action"];

    /// <summary>Own rules in the order in which they are written, then the built-in ones, of which those named by a section are changed by it.</summary>
    public static Checked<SignalRules> Read(IReadOnlyList<RuleSection> sections)
    {
        List<ConfigurationMistake> mistakes = [];
        List<SignalRule> own = [];
        List<SignalRule> builtIn = [.. SignalRules.Default.All];
        foreach (RuleSection section in sections)
        {
            int index = builtIn.FindIndex(rule => rule.Name == section.Name);
            if (index < 0 && !section.Entries.Any(entry => entry.Key == "action"))
                mistakes.Add(new(section.File, section.Line, $"[rule {section.Name}] has no action: add \"action = {Permitted<RuleAction>()}\""));
            SignalRule rule = (index < 0 ? new SignalRule { Name = section.Name, Action = RuleAction.Notify } : builtIn[index]) with { Source = $"{section.File}:{section.Line}" };
            foreach (RuleEntry entry in section.Entries)
                rule = Apply(rule, entry, mistakes);
            if (index < 0)
                own.Add(rule);
            else
                builtIn[index] = rule;
        }

        return mistakes.Count > 0 ? new Checked<SignalRules>(mistakes) : new Checked<SignalRules>(new SignalRules([.. own, .. builtIn]));
    }

    private static SignalRule Apply(SignalRule rule, RuleEntry entry, List<ConfigurationMistake> mistakes)
    {
        switch (entry.Key)
        {
            case "component":
                return rule with { Components = Words<ComponentKind>(entry, mistakes) };
            case "kind":
                return rule with { Kinds = Words<SignalKind>(entry, mistakes) };
            case "severity":
                IReadOnlyList<SignalSeverity> severities = Words<SignalSeverity>(entry, mistakes);
                if (severities.Any(severity => severity < SignalSeverity.Warning))
                    mistakes.Add(At(entry, "a signal is a warning or critical, nothing below"));
                return rule with { Severities = severities };
            case "predicted":
                return rule with { Predicted = YesNo(entry, mistakes) };
            case "last":
                return rule with { Last = YesNo(entry, mistakes) };
            case "state":
                return rule with { States = Split(entry.Value) };
            case "message":
                return rule with { Messages = Split(entry.Value) };
            case "part":
                return rule with { Part = entry.Value };
            case "action":
                IReadOnlyList<RuleAction> actions = Words<RuleAction>(entry, mistakes);
                if (actions.Count > 1)
                    mistakes.Add(At(entry, "a rule has one action"));
                return actions.Count == 0 ? rule : rule with { Action = actions[0] };
            default:
                string hint = NearestName.Find(entry.Key, Keys) is { } near ? $"did you mean {near}?" : $"a rule has {string.Join(", ", Keys)}";
                mistakes.Add(new(entry.File, entry.Line, $"unknown key \"{entry.Key}\" in a rule; {hint}"));
                return rule;
        }
    }

    private static IReadOnlyList<T> Words<T>(RuleEntry entry, List<ConfigurationMistake> mistakes) where T : struct, Enum
    {
        List<T> values = [];
        foreach (string word in Split(entry.Value))
        {
            if (Enum.GetValues<T>().Cast<T?>().FirstOrDefault(value => Evacuation.Words.Of(value!.Value) == word.ToLowerInvariant()) is { } known)
                values.Add(known);
            else
                mistakes.Add(At(entry, $"\"{word}\" is none of {Permitted<T>()}"));
        }

        return values;
    }

    private static bool? YesNo(RuleEntry entry, List<ConfigurationMistake> mistakes)
    {
        if (entry.Value is "yes" or "true" or "on" or "1")
            return true;
        if (entry.Value is not ("no" or "false" or "off" or "0"))
            mistakes.Add(At(entry, "must be yes or no"));
        return false;
    }

    private static string[] Split(string text) => text.Split((char[])[' ', '\t', ','], StringSplitOptions.RemoveEmptyEntries);

    private static string Permitted<T>() where T : struct, Enum =>
        string.Join(", ", Enum.GetValues<T>().Where(value => typeof(T) != typeof(SignalSeverity) || Convert.ToInt32(value) >= (int)SignalSeverity.Warning).Select(Evacuation.Words.Of));

    private static ConfigurationMistake At(RuleEntry entry, string text) => new(entry.File, entry.Line, $"{entry.Key} = {entry.Value}: {text}");
}
