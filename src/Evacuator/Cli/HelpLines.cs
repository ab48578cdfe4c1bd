using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Text.RegularExpressions;

namespace Evacuator.Cli;

/// <summary>The library's help, which shows each argument of a listed command as if it were required: those that may be left out get brackets.</summary>
internal sealed class HelpLines(HelpAction library) : SynchronousCommandLineAction
{
    /// <summary>For this command and all below it: the option is one and the same.</summary>
    public static RootCommand Improve(RootCommand root)
    {
        if (root.Options.OfType<HelpOption>().FirstOrDefault() is { Action: HelpAction library } help)
            help.Action = new HelpLines(library);
        return root;
    }

    public override bool ClearsParseErrors => library.ClearsParseErrors;

    public override int Invoke(ParseResult parseResult)
    {
        TextWriter output = parseResult.InvocationConfiguration.Output;
        using StringWriter text = new();
        parseResult.InvocationConfiguration.Output = text;
        int code;
        try
        {
            code = library.Invoke(parseResult);
        }
        finally
        {
            parseResult.InvocationConfiguration.Output = output;
        }

        output.Write(Bracketed(text.ToString(), parseResult.CommandResult.Command));
        return code;
    }

    private static string Bracketed(string text, Command command)
    {
        // By the place and not by the name: the library shows the values of an argument that has a few.
        foreach (Command listed in command.Subcommands.Where(listed => listed.Arguments is [{ } only] && (only.Arity.MinimumNumberOfValues == 0 || only.HasDefaultValue)))
            text = Regex.Replace(text, $@"(?<=\n  {Regex.Escape(listed.Name)} )<([^>\n]*)>", "[$1]");
        return text;
    }
}
