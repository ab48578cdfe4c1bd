using System.Collections;
using System.Reflection;
using Evacuator.Common.Configuration;
using Evacuator.Testing;

namespace Evacuator.Common.Tests.Configuration;

public sealed class SettingsTests
{
    private const string Begin = ".\\\" begin of the list: written from the table in src/Common/Configuration/Settings.cs, a test compares them\n";
    private const string End = ".\\\" end of the list\n";

    /// <summary>EVACUATOR_WRITE_DOCUMENTS=1 dotnet test --filter SettingsTests writes them anew.</summary>
    private static bool Write => Environment.GetEnvironmentVariable("EVACUATOR_WRITE_DOCUMENTS") == "1";

    [Fact]
    public void All_EveryOption_HasExactlyOneSetting()
    {
        List<string> reached = [];
        foreach (PropertyInfo section in typeof(EvacuatorOptions).GetProperties())
        {
            foreach (PropertyInfo option in section.PropertyType.GetProperties().Where(property => property.CanWrite))
                reached.Add($"{section.Name}.{option.Name}");
        }

        // Which property a setting writes: the one that differs once the setting has another value than its default.
        List<string> written = [.. Settings.All.Select(setting => Assert.Single(Differences(setting.Apply(Settings.Defaults, Other(setting))!)))];

        Assert.Equal(reached.Order(), written.Order());
    }

    [Fact]
    public void All_Keys_AreUniqueAndKebabCase()
    {
        Assert.Equal(Settings.All.Count, Settings.All.Select(setting => (setting.Section, setting.Key)).Distinct().Count());
        Assert.All(Settings.All, setting => Assert.Matches("^[a-z]+(-[a-z]+)*$", setting.Key));
    }

    [Fact]
    public void All_Defaults_ArePermittedOrNone()
    {
        foreach (Setting setting in Settings.All.Where(setting => setting.Default.Length > 0))
            Assert.Equal(setting.Default, setting.Show(setting.Apply(Settings.Defaults, setting.Default)!));
    }

    [Fact]
    public void CommentedFile_OfThePackage_AgreesWithTheTable()
    {
        string path = Path.Combine(Prerequisites.ProjectRoot, "packaging", "deb", "evacuator.conf");
        if (Write)
            File.WriteAllText(path, ConfigurationDocuments.CommentedFile());

        Assert.Equal(ConfigurationDocuments.CommentedFile(), File.ReadAllText(path));
        Assert.Empty(ConfigurationLoader.Load(path).Mistakes);
    }

    [Fact]
    public void CommentedFile_CommentsTakenOff_StillReads()
    {
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "evacuator.conf");
        IEnumerable<string> lines = ConfigurationDocuments.CommentedFile().Split('\n').Select(line => line.StartsWith('#') && !line.StartsWith("# ", StringComparison.Ordinal) ? line.TrimStart('#') : line);
        File.WriteAllLines(path, lines);

        ConfigurationResult result = ConfigurationLoader.Load(path);

        Assert.Empty(result.Mistakes);
        Assert.Equal(Settings.All.Count(setting => setting.Default.Length > 0), result.Values.Count(value => value.Source != "default"));
    }

    [Fact]
    public void Manual_ListOfSettings_AgreesWithTheTable()
    {
        string path = Path.Combine(Prerequisites.ProjectRoot, "packaging", "man", "evacuator.conf.5");
        string page = File.ReadAllText(path);
        int begin = page.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length;
        int end = page.IndexOf(End, StringComparison.Ordinal);
        if (Write)
            File.WriteAllText(path, page[..begin] + ConfigurationDocuments.ManualList() + page[end..]);
        else
            Assert.Equal(ConfigurationDocuments.ManualList(), page[begin..end]);
    }

    private static List<string> Differences(EvacuatorOptions options)
    {
        List<string> differences = [];
        foreach (PropertyInfo section in typeof(EvacuatorOptions).GetProperties())
        {
            foreach (PropertyInfo option in section.PropertyType.GetProperties().Where(property => property.CanWrite))
            {
                if (!Same(option.GetValue(section.GetValue(options)), option.GetValue(section.GetValue(Settings.Defaults))))
                    differences.Add($"{section.Name}.{option.Name}");
            }
        }

        return differences;
    }

    private static bool Same(object? left, object? right) =>
        left is IEnumerable a and not string && right is IEnumerable b ? a.Cast<object>().SequenceEqual(b.Cast<object>()) : Equals(left, right);

    /// <summary>A permitted text that is not the default.</summary>
    private static string Other(Setting setting)
    {
        string[] candidates = ["node-x", "/x", "https://x", new string('a', 64), "4c4c4544-0042-3510-8056-b4c04f4e4d32", "61", "7", "10.0.0.1", "0 30 3 * * ?", "1min 1s", "notify", "by-operator", "no", "yes", "error", "etcd", "shim", "never"];
        return candidates.First(text => text != setting.Default && setting.Apply(Settings.Defaults, text) is not null);
    }
}
