using System.Text;

namespace Evacuator.Common.Configuration;

/// <summary>One "key = value" of an INI file.</summary>
internal readonly record struct IniEntry(string Section, string Key, string Value, int Line);

/// <summary>One "[section]" of an INI file.</summary>
internal readonly record struct IniSection(string Name, int Line);

/// <summary>
/// An INI file in systemd's dialect (systemd.syntax(7)): [section], key = value, comments on lines of their own that begin with # or ;, a
/// backslash at the end joins the next line with one space. Values are literal: there is no quoting and no escaping, and a # inside of a value
/// belongs to it. Reading goes on after a mistake so that all are found at once.
/// </summary>
internal sealed class IniFile
{
    /// <summary>Larger files are refused before they are read: nobody writes a megabyte of settings.</summary>
    public const long MaximumSize = 1024 * 1024;

    public required string Path { get; init; }

    public required IReadOnlyList<IniSection> Sections { get; init; }

    public required IReadOnlyList<IniEntry> Entries { get; init; }

    public required IReadOnlyList<ConfigurationMistake> Mistakes { get; init; }

    public static IniFile Read(string path)
    {
        string? text = null;
        string mistake;
        bool notAllowed = false;
        try
        {
            FileInfo file = new(path);
            if (Directory.Exists(path))
                mistake = "is a directory, not a file";
            else if (file.Exists && file.Length > MaximumSize)
                mistake = $"is larger than {MaximumSize} bytes";
            else
            {
                mistake = "";
                text = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true).GetString(File.ReadAllBytes(path));
            }
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            mistake = "does not exist";
        }
        catch (UnauthorizedAccessException)
        {
            (mistake, notAllowed) = ("cannot be read: permission denied", true);
        }
        catch (DecoderFallbackException)
        {
            mistake = "is not UTF-8 text";
        }
        catch (IOException e)
        {
            mistake = $"cannot be read: {e.Message}";
        }

        return text is null
            ? new IniFile { Path = path, Sections = [], Entries = [], Mistakes = [new ConfigurationMistake(path, 0, mistake) { NotAllowed = notAllowed }] }
            : Parse(path, text);
    }

    public static IniFile Parse(string path, string text)
    {
        List<IniSection> sections = [];
        List<IniEntry> entries = [];
        List<ConfigurationMistake> mistakes = [];
        string? section = null;
        bool sectionIsBad = false;

        string[] lines = text.TrimStart('\uFEFF').Split('\n');
        for (int index = 0; index < lines.Length; index++)
        {
            int number = index + 1;
            string line = lines[index].Trim();
            if (line.Length == 0 || line[0] is '#' or ';')
                continue;

            // A continued line takes the following ones; comment lines between are skipped, as systemd does.
            while (line.EndsWith('\\'))
            {
                line = line[..^1].TrimEnd();
                do
                    index++;
                while (index < lines.Length && lines[index].TrimStart() is ['#' or ';', ..]);
                if (index >= lines.Length)
                    break;
                line = $"{line} {lines[index].Trim()}".TrimEnd();
            }

            if (line is ['[', ..])
            {
                string name = line.Trim('[', ']').Trim();
                sectionIsBad = line[^1] != ']' || name.Length == 0 || name.AsSpan().IndexOfAny("[]") >= 0;
                section = name;
                if (sectionIsBad)
                    mistakes.Add(new(path, number, $"\"{line}\" is not a section: write [name]"));
                else
                    sections.Add(new(name, number));
                continue;
            }

            int equals = line.IndexOf('=');
            if (equals < 0)
                mistakes.Add(new(path, number, $"\"{line}\" is neither [section] nor key = value; comments begin with # or ;"));
            else if (equals == 0)
                mistakes.Add(new(path, number, $"\"{line}\" has no key before the ="));
            else if (section is null)
                mistakes.Add(new(path, number, $"\"{line[..equals].TrimEnd()}\" stands before the first [section]"));
            else if (!sectionIsBad)
                entries.Add(new(section, line[..equals].TrimEnd(), line[(equals + 1)..].TrimStart(), number));
        }

        return new IniFile { Path = path, Sections = sections, Entries = entries, Mistakes = mistakes };
    }
}
