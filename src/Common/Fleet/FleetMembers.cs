using System.Security.Cryptography;
using Evacuator.Common.Configuration;
using Evacuator.Common.Hosting;

namespace Evacuator.Common.Fleet;

/// <summary>The nodes as this host's files have them: the list that the authority has signed where there is one, else the peers file.</summary>
/// <param name="Roster">null in a fleet whose list was never signed</param>
public sealed record FleetMembers(IReadOnlyList<Peer> Peers, SignedRoster? Roster)
{
    private const UnixFileMode AllRead = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    /// <summary>fleet.json stands beside the peers file.</summary>
    public static string RosterPath(EvacuatorOptions options) => Path.Combine(Path.GetDirectoryName(options.Fleet.PeersFile) ?? "/", SignedRoster.FileName);

    /// <summary>ca.crt, whatever the list says.</summary>
    public static string AuthorityPath(EvacuatorOptions options) => Path.Combine(options.Fleet.TlsDirectory, TlsFiles.Authority);

    /// <summary>
    /// Puts a list that has been checked into this host's files, for the next start of both services. Killed in between, what is there fits together: an authority is added to
    /// ca.crt before a list stands there that it has signed, and taken away after one stands there that it has not.
    /// </summary>
    /// <exception cref="IOException">or UnauthorizedAccessException: not, or not all, is written</exception>
    public static void Write(EvacuatorOptions options, SignedRoster roster)
    {
        if (Present(options) is not { } present || present.Fingerprints.All(roster.Authorities.Has))
            WriteAuthorities(options, roster);
        AtomicFile.Write(RosterPath(options), roster.Text, AllRead);
        if (roster.Roster.Nodes.Count > 0)
            AtomicFile.Write(options.Fleet.PeersFile, PeersFile.Format(roster.Roster.Nodes), AllRead);
        WriteAuthorities(options, roster);
    }

    /// <summary>ca.crt alone, if it does not hold what the list says: of an earlier list, or of a host that died before it was written.</summary>
    /// <exception cref="IOException">or UnauthorizedAccessException</exception>
    public static void WriteAuthorities(EvacuatorOptions options, SignedRoster roster)
    {
        if (Present(options)?.IsSameAs(roster.Authorities) != true)
            AtomicFile.Write(AuthorityPath(options), roster.Authorities.Pem, AllRead);
    }

    public static Checked<FleetMembers> Load(EvacuatorOptions options)
    {
        string path = RosterPath(options);
        SignedRoster? roster = null;
        try
        {
            // One that is not sound is no reason to believe in the peers file: whoever was revoked stands in there.
            if (File.Exists(path) && File.Exists(AuthorityPath(options)))
                roster = SignedRoster.ParseOwn(File.ReadAllText(path), FleetAuthorities.FromFile(AuthorityPath(options)), path);
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

    /// <summary>Null if ca.crt is damaged or gone: the list tells then.</summary>
    private static FleetAuthorities? Present(EvacuatorOptions options)
    {
        try
        {
            return FleetAuthorities.FromFile(AuthorityPath(options));
        }
        catch (FleetSetupException)
        {
            return null;
        }
    }
}
