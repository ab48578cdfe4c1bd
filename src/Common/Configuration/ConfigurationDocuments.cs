using System.Text;

namespace Evacuator.Common.Configuration;

/// <summary>What the package tells people about the settings, written from their table so that it cannot go stale; a test compares the files.</summary>
internal static class ConfigurationDocuments
{
    private const int Width = 100;

    /// <summary>The installed /etc/evacuator/evacuator.conf: every key commented out with its default.</summary>
    public static string CommentedFile()
    {
        StringBuilder text = new(
            """
            # Settings of evacuator.service and evacuator-agent.service, see evacuator.conf(5).
            #
            # Every key stands here with its default. Change it here, or better in a file of your own in
            # /etc/evacuator/evacuator.conf.d/ (*.conf, read in the order of their names, the last one wins).
            # "evacuator config show" prints what holds and from which file.

            """.ReplaceLineEndings("\n"));
        foreach (IGrouping<string, Setting> section in Settings.All.GroupBy(setting => setting.Section))
        {
            text.Append($"\n[{section.Key}]\n");
            foreach (Setting setting in section)
            {
                foreach (string line in Wrap($"{setting.Meaning} Value: {setting.Permitted}.", Width - 2))
                    text.Append($"# {line}\n");
                text.Append($"#{setting.Key} = {setting.Default}".TrimEnd()).Append("\n\n");
            }

            text.Length--;
        }

        return text.ToString();
    }

    /// <summary>The list of settings in evacuator.conf(5), in the man macros.</summary>
    public static string ManualList()
    {
        StringBuilder text = new();
        foreach (IGrouping<string, Setting> section in Settings.All.GroupBy(setting => setting.Section))
        {
            text.Append($".SS [{section.Key}]\n");
            foreach (Setting setting in section)
            {
                text.Append($".TP\n.BR {Roff(setting.Key)} \" =\"\n{Roff(setting.Meaning)}\n");
                text.Append($"Value: {Roff(setting.Permitted)}.\n");
                if (setting.Default.Length > 0)
                    text.Append($"Default: {Roff(setting.Default)}.\n");
            }
        }

        return text.ToString();
    }

    private static string Roff(string text)
    {
        string escaped = text.Replace("\\", "\\e", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal);
        return escaped is ['.' or '\'', ..] ? "\\&" + escaped : escaped;
    }

    private static IEnumerable<string> Wrap(string text, int width)
    {
        StringBuilder line = new();
        foreach (string word in text.Split(' '))
        {
            if (line.Length > 0 && line.Length + 1 + word.Length > width)
            {
                yield return line.ToString();
                line.Clear();
            }

            line.Append(line.Length > 0 ? " " : "").Append(word);
        }

        yield return line.ToString();
    }
}
