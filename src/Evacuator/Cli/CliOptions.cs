using System.CommandLine;
using System.CommandLine.Parsing;
using Evacuator.Api;
using Evacuator.Common.Configuration;

namespace Evacuator.Cli;

/// <summary>Options that several verbs share.</summary>
internal static class CliOptions
{
    public static Option<string> Socket { get; } = new("--socket")
    {
        Description = "The service's socket.",
        DefaultValueFactory = _ => ApiRoutes.SocketPath,
        Recursive = true,
        Hidden = true,
    };

    public static Option<string> ConfigurationFile { get; } = new("--config")
    {
        Description = "The configuration file; its drop-ins are in FILE.d.",
        DefaultValueFactory = _ => ConfigurationLoader.DefaultFile,
        Recursive = true,
        Hidden = true,
    };

    public static Option<bool> Json() => new("--json") { Description = "Write JSON, for programs." };

    /// <summary>A duration as in the configuration: 300ms, 90s, 5min, 1h.</summary>
    public static Option<TimeSpan?> DurationOption(string name, string description) => new(name)
    {
        Description = description,
        CustomParser = result =>
        {
            string text = string.Join(' ', result.Tokens.Select(token => token.Value));
            if (Duration.TryParse(text, out TimeSpan duration))
                return duration;
            result.AddError($"{name} {text}: write a duration such as 90s, 5min or 1h");
            return null;
        },
    };

    /// <summary>Reads a UUID. Without a parser of its own, a value that is none fails only when the verb reads it, with a stack trace.</summary>
    public static Guid? ParseUuid(ArgumentResult result)
    {
        string text = result.Tokens[0].Value;
        if (Guid.TryParse(text, out Guid id))
            return id;
        result.AddError($"\"{text}\" is not an id such as 4c4c4544-0042-3510-8056-b4c04f4e4d32");
        return null;
    }
}
