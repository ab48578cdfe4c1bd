using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Configuration;

namespace Evacuator.Common.Fleet;

/// <summary>The nodes as this host's files have them: the list that the authority has signed where there is one, else the peers file.</summary>
/// <param name="Roster">null in a fleet whose list was never signed</param>
public sealed record FleetMembers(IReadOnlyList<Peer> Peers, SignedRoster? Roster)
{
    /// <summary>fleet.json stands beside the peers file.</summary>
    public static string RosterPath(EvacuatorOptions options) => Path.Combine(Path.GetDirectoryName(options.Fleet.PeersFile) ?? "/", SignedRoster.FileName);

    /// <param name="newer">a list from another place, such as a journal, whose signature is checked here: it holds if its number is higher. One of another fleet does not count</param>
    public static Checked<FleetMembers> Load(EvacuatorOptions options, string? newer = null)
    {
        string path = RosterPath(options);
        SignedRoster? roster = null;
        try
        {
            string authorityPath = Path.Combine(options.Fleet.TlsDirectory, TlsFiles.Authority);
            bool isThere = File.Exists(path);
            if ((isThere || newer is not null) && File.Exists(authorityPath))
            {
                using X509Certificate2 authority = X509CertificateLoader.LoadCertificateFromFile(authorityPath);
                // One that is not sound is no reason to believe in the peers file: whoever was revoked stands in there.
                if (isThere)
                    roster = SignedRoster.Parse(File.ReadAllText(path), authority, path);
                if (newer is not null && TryParse(newer, authority) is { } other && other.Roster.Number > (roster?.Roster.Number ?? -1))
                    roster = other;
            }
        }
        catch (FleetSetupException e)
        {
            return Wrong(e.Message.StartsWith(path, StringComparison.Ordinal) ? e.Message[(path.Length + 2)..] : e.Message);
        }
        catch (UnauthorizedAccessException e)
        {
            return new Checked<FleetMembers>([new ConfigurationMistake(path, 0, $"user {Environment.UserName} may not read it: {e.Message}") { NotAllowed = true }]);
        }
        catch (Exception e) when (e is IOException or CryptographicException)
        {
            return Wrong($"cannot be read: {e.Message}");
        }

        if (roster is { Roster.Nodes.Count: > 0 })
            return new Checked<FleetMembers>(new FleetMembers(roster.Roster.Nodes, roster));
        Checked<IReadOnlyList<Peer>> peers = PeersFile.Load(options.Fleet.PeersFile);
        return peers.Value is { } known ? new Checked<FleetMembers>(new FleetMembers(known, roster)) : new Checked<FleetMembers>([.. peers.Mistakes]);

        Checked<FleetMembers> Wrong(string text) => new([new ConfigurationMistake(path, 0, $"{text}: join the fleet again, or take a good list with \"evacuator fleet accept FILE\"")]);
    }

    private static SignedRoster? TryParse(string text, X509Certificate2 authority)
    {
        try
        {
            return SignedRoster.Parse(text, authority, "the list of nodes");
        }
        catch (FleetSetupException)
        {
            return null;
        }
    }
}
