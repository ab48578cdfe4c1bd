using Evacuator.Common.Fleet;

namespace Evacuator.Common.Configuration;

/// <summary>
/// Reads evacuator.conf and the drop-ins beside it (evacuator.conf.d/*.conf in the order of their names). Later files win over earlier ones
/// and, as in systemd, a later line over an earlier one of the same file; lists grow instead; an empty value goes back to the default. All mistakes
/// of all files are found in one pass.
/// </summary>
public static class ConfigurationLoader
{
    public const string DefaultFile = "/etc/evacuator/evacuator.conf";

    /// <summary>"[rule NAME]": a section of its own for each rule about signals.</summary>
    private const string RulePrefix = "rule ";

    public static ConfigurationResult Load(string file = DefaultFile)
    {
        List<ConfigurationMistake> mistakes = [];
        Dictionary<Setting, string> sources = [];
        List<RuleSection> rules = [];
        EvacuatorOptions options = Settings.Defaults;

        foreach (string path in FilesInOrder(file, mistakes))
        {
            IniFile ini = IniFile.Read(path);
            mistakes.AddRange(ini.Mistakes);
            foreach (IniSection section in ini.Sections)
            {
                if (RuleName(section.Name) is { } rule)
                    AddRule(rules, rule, path, section.Line, mistakes);
                else if (!Settings.All.Any(setting => setting.Section == section.Name))
                    mistakes.Add(new(path, section.Line, Unknown($"section [{section.Name}]", NearestName.Find(section.Name, Settings.All.Select(setting => setting.Section)), "[{0}]")));
            }

            foreach (IniEntry entry in ini.Entries)
            {
                if (RuleName(entry.Section) is { } rule)
                    AddToRule(rules, rule, path, entry);
                else
                    options = Apply(options, path, entry, sources, mistakes);
            }
        }

        if (options.Node.Name.Length == 0)
            options = WithHostName(options, file, mistakes);
        CheckTogether(options, file, sources, mistakes);

        return new ConfigurationResult
        {
            Options = mistakes.Count == 0 ? options : null,
            Mistakes = mistakes,
            Values = [.. Settings.All.Select(setting => new ConfigurationValue(setting.Section, setting.Key, setting.Show(options), sources.GetValueOrDefault(setting, "default")))],
            Rules = rules,
        };
    }

    /// <summary>NAME of "rule NAME"; "" of a bare "rule"; null for any other section.</summary>
    private static string? RuleName(string section) =>
        section == RulePrefix.Trim() ? "" : section.StartsWith(RulePrefix, StringComparison.Ordinal) ? section[RulePrefix.Length..].Trim() : null;

    private static void AddRule(List<RuleSection> rules, string name, string path, int line, List<ConfigurationMistake> mistakes)
    {
        if (name.Length is 0 or > 64 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
            mistakes.Add(new(path, line, "a rule needs a name of letters, digits, dots and dashes: write [rule NAME]"));
        else if (!rules.Any(rule => rule.Name == name))
            rules.Add(new RuleSection(name, path, line, []));
    }

    private static void AddToRule(List<RuleSection> rules, string name, string path, IniEntry entry)
    {
        int index = rules.FindIndex(rule => rule.Name == name);
        if (index < 0)
            return; // Its section's own line has its mistake already.
        IEnumerable<RuleEntry> others = rules[index].Entries.Where(other => other.Key != entry.Key);
        rules[index] = rules[index] with { Entries = entry.Value.Length == 0 ? [.. others] : [.. others, new RuleEntry(entry.Key, entry.Value, path, entry.Line)] };
    }

    /// <summary>The file itself and its drop-ins. Hidden files and other endings (such as dpkg's .dpkg-old) do not count.</summary>
    private static List<string> FilesInOrder(string file, List<ConfigurationMistake> mistakes)
    {
        List<string> files = [file];
        string folder = file + ".d";
        try
        {
            if (Directory.Exists(folder))
                files.AddRange(Directory.EnumerateFileSystemEntries(folder, "*.conf").Where(path => Path.GetFileName(path)[0] != '.').Order(StringComparer.Ordinal));
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            mistakes.Add(new(folder, 0, $"cannot be read: {e.Message}"));
        }

        return files;
    }

    private static EvacuatorOptions Apply(EvacuatorOptions options, string path, IniEntry entry, Dictionary<Setting, string> sources, List<ConfigurationMistake> mistakes)
    {
        List<string> keys = [.. Settings.All.Where(setting => setting.Section == entry.Section).Select(setting => setting.Key)];
        if (keys.Count == 0)
            return options; // The section's own line has its mistake already.
        if (Settings.Find(entry.Section, entry.Key) is not { } setting)
        {
            mistakes.Add(new(path, entry.Line, Unknown($"key \"{entry.Key}\" in [{entry.Section}]", NearestKey(entry, keys), "{0}")));
            return options;
        }

        if (entry.Value.Length == 0)
        {
            sources.Remove(setting);
            return setting.Reset(options);
        }

        // No permitted value begins with a quote, and who writes one expects it to be taken off, which systemd's dialect does not do.
        if (entry.Value[0] is '"' or '\'')
        {
            mistakes.Add(new(path, entry.Line, $"{entry.Key}: write the value without quotes"));
            return options;
        }

        if (setting.Apply(options, entry.Value) is not { } applied)
        {
            mistakes.Add(new(path, entry.Line, $"{entry.Key} = {entry.Value}: must be {setting.Permitted}"));
            return options;
        }

        string source = $"{path}:{entry.Line}";
        sources[setting] = setting.IsList && sources.TryGetValue(setting, out string? earlier) ? $"{earlier}, {source}" : source;
        return applied;
    }

    private static string Unknown(string what, string? nearest, string form) =>
        nearest is null ? $"unknown {what}; see evacuator.conf(5)" : $"unknown {what}; did you mean {string.Format(System.Globalization.CultureInfo.InvariantCulture, form, nearest)}?";

    /// <summary>A key of the same section, else one of the same name in another section.</summary>
    private static string? NearestKey(IniEntry entry, List<string> keys) =>
        NearestName.Find(entry.Key, keys)
        ?? Settings.All.Where(setting => setting.Key == entry.Key).Select(setting => $"{setting.Key} in [{setting.Section}]").FirstOrDefault();

    private static EvacuatorOptions WithHostName(EvacuatorOptions options, string file, List<ConfigurationMistake> mistakes)
    {
        string name = Environment.MachineName.ToLowerInvariant();
        if (!NodeName.IsValid(name))
            mistakes.Add(new(file, 0, $"the host name \"{name}\" cannot be the node's name: set [node] name to {NodeName.Permitted}"));
        return options with { Node = options.Node with { Name = name } };
    }

    /// <summary>What is wrong only in combination.</summary>
    private static void CheckTogether(EvacuatorOptions options, string file, Dictionary<Setting, string> sources, List<ConfigurationMistake> mistakes)
    {
        if (options.Bmc is { Fingerprint.Length: > 0, CaFile.Length: > 0 })
            mistakes.Add(At("bmc", "ca-file", "fingerprint and ca-file exclude each other: keep one"));
        if (options.Bmc is { Url.Length: > 0, User.Length: 0 })
            mistakes.Add(At("bmc", "url", "a BMC needs a user as well"));
        if (options.Bmc is { Url.Length: 0, User.Length: > 0 })
            mistakes.Add(At("bmc", "user", "a BMC needs a url as well"));
        if (options.Bmc.CaFile.Length > 0 && !File.Exists(options.Bmc.CaFile))
            mistakes.Add(At("bmc", "ca-file", $"{options.Bmc.CaFile} does not exist or is not accessible"));
        if (options.Fleet.BrainPort == options.Fleet.AgentPort)
            mistakes.Add(At("fleet", sources.ContainsKey(Settings.Find("fleet", "agent-port")!) ? "agent-port" : "brain-port", "brain-port and agent-port must differ"));

        if (options.Bmc.PushAddress.Length > 0 && (options.Bmc.PushPort == options.Fleet.BrainPort || options.Bmc.PushPort == options.Fleet.AgentPort))
            mistakes.Add(At("bmc", "push-port", "push-port must differ from brain-port and agent-port"));

        if (options.Fleet is { Store: FleetStore.Etcd, EtcdEndpoints.Count: 0 })
            mistakes.Add(At("fleet", "store", "etcd needs its addresses: set etcd-endpoints"));
        if (options.Fleet is { Store: FleetStore.Static, EtcdEndpoints.Count: > 0 })
            mistakes.Add(At("fleet", "etcd-endpoints", "is not used while store is static: set store = etcd, or remove it"));
        if (options.Fleet.EtcdCertificate.Length > 0 != options.Fleet.EtcdKey.Length > 0)
            mistakes.Add(At("fleet", options.Fleet.EtcdKey.Length > 0 ? "etcd-key" : "etcd-certificate", "etcd-certificate and etcd-key belong together: set both or neither"));

        ConfigurationMistake At(string section, string key, string text)
        {
            string source = sources.GetValueOrDefault(Settings.Find(section, key)!, "");
            int colon = source.LastIndexOf(':');
            return colon < 0 ? new(file, 0, $"[{section}] {text}") : new(source[..colon], int.Parse(source.AsSpan(colon + 1), System.Globalization.CultureInfo.InvariantCulture), text);
        }
    }
}
