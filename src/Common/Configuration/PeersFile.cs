using System.Net;
using System.Text;
using Evacuator.Common.Fleet;

namespace Evacuator.Common.Configuration;

/// <summary>
/// The list of the fleet's nodes, this one included, written by "evacuator fleet join". A node that is not in it gets nothing from this one.
/// </summary>
/// <remarks>
/// <code>
/// [node1]
/// address = 10.0.0.1
/// </code>
/// </remarks>
public static class PeersFile
{
    public const string DefaultFile = "/etc/evacuator/peers.conf";

    public static Checked<IReadOnlyList<Peer>> Load(string path = DefaultFile) => Interpret(IniFile.Read(path));

    /// <summary>The text that <see cref="Load"/> reads back.</summary>
    public static string Format(IEnumerable<Peer> peers)
    {
        StringBuilder text = new("# The fleet's nodes. Written by \"evacuator fleet init\" and \"evacuator fleet join\".\n");
        foreach (Peer peer in peers)
            text.Append($"\n[{peer.Name}]\naddress = {peer.Address}\n");
        return text.ToString();
    }

    /// <summary>A host name or an IP address, without port.</summary>
    public static bool IsAddress(string text) =>
        IPAddress.TryParse(text, out _) || (Uri.CheckHostName(text) == UriHostNameType.Dns && !text.All(c => char.IsAsciiDigit(c) || c == '.'));

    internal static Checked<IReadOnlyList<Peer>> Interpret(IniFile ini)
    {
        List<ConfigurationMistake> mistakes = [.. ini.Mistakes];
        Dictionary<string, (Peer Peer, int Line)> peers = [];
        HashSet<string> names = [];
        foreach (IniSection section in ini.Sections)
        {
            if (!NodeName.IsValid(section.Name))
                mistakes.Add(new(ini.Path, section.Line, $"[{section.Name}] is not a node's name: must be {NodeName.Permitted}"));
            else if (!names.Add(section.Name))
                mistakes.Add(new(ini.Path, section.Line, $"[{section.Name}] is there twice"));
            else if (!ini.Entries.Any(entry => entry.Section == section.Name && entry.Key == "address"))
                mistakes.Add(new(ini.Path, section.Line, $"[{section.Name}] has no address"));
        }

        foreach (IniEntry entry in ini.Entries.Where(entry => names.Contains(entry.Section)))
        {
            if (entry.Key != "address")
                mistakes.Add(new(ini.Path, entry.Line, $"unknown key \"{entry.Key}\": a node has an address only"));
            else if (!IsAddress(entry.Value))
                mistakes.Add(new(ini.Path, entry.Line, $"address = {entry.Value}: must be a host name or an IP address, without port"));
            else if (peers.TryGetValue(entry.Section, out (Peer Peer, int Line) earlier))
                mistakes.Add(new(ini.Path, entry.Line, $"[{entry.Section}] has its address twice, see line {earlier.Line}"));
            else if (peers.Values.FirstOrDefault(other => other.Peer.Address == entry.Value) is { Peer: { } other } same)
                mistakes.Add(new(ini.Path, entry.Line, $"{entry.Value} is the address of [{other.Name}] as well, see line {same.Line}"));
            else
                peers.Add(entry.Section, (new Peer(entry.Section, entry.Value), entry.Line));
        }

        if (mistakes.Count == 0 && peers.Count == 0)
            mistakes.Add(new(ini.Path, 0, "names no node"));
        return mistakes.Count > 0
            ? new Checked<IReadOnlyList<Peer>>(mistakes)
            : new Checked<IReadOnlyList<Peer>>([.. peers.Values.OrderBy(pair => pair.Line).Select(pair => pair.Peer)]);
    }
}
