using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;

namespace Evacuator.Fleet.Authority;

/// <summary>
/// What the authority does, each as one transaction over its directory: the service and the commands of root do the same through it, one at a time. What it
/// answers has been written before.
/// </summary>
internal sealed class Registrar(string directory, TimeProvider time)
{
    /// <summary>As many as one list can name; see <see cref="SignedRoster.MaxSize"/>.</summary>
    private const int MaxNodes = 10_000;

    public JoinToken MakeToken(string? forNode, TimeSpan valid)
    {
        if (forNode is not null && !NodeName.IsValid(forNode))
            throw new FleetSetupException($"\"{forNode}\": a node's name must be {NodeName.Permitted}");
        using AuthorityDirectory authority = Open();
        JoinToken token = JoinToken.Make(authority.Fingerprint);
        DateTimeOffset now = time.GetUtcNow();
        Keep(authority, Tokens(authority).With(new TokenRecord(token.Id, token.SecretHash, forNode, now, now + valid), now));
        return token;
    }

    public IReadOnlyList<TokenRecord> ListTokens()
    {
        using AuthorityDirectory authority = Open();
        return Tokens(authority).Tokens;
    }

    public FleetRoster Roster()
    {
        using AuthorityDirectory authority = Open();
        return authority.Roster;
    }

    public string RosterText()
    {
        using AuthorityDirectory authority = Open();
        return authority.Signed.Text;
    }

    /// <summary>Takes a node in.</summary>
    /// <exception cref="RegistrarException">refused, with the reason for the one who asks</exception>
    public JoinReply Join(JoinRequest request)
    {
        using AuthorityDirectory authority = Open();
        DateTimeOffset now = time.GetUtcNow();
        TokenBook tokens = Tokens(authority);
        string keys = Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(request.Brain + request.Agent)));
        Redemption redemption = tokens.Redeem(request.Token, request.Secret, request.Node, keys, now);
        if (redemption.Refusal.Length > 0)
        {
            if (redemption.Record is { } counted)
                Keep(authority, tokens.With(counted, now));
            throw new RegistrarException(redemption.Refusal) { WasWrongToken = redemption.WasWrong };
        }

        TokenRecord before = tokens.Tokens.First(token => token.Id == request.Token);
        bool repeated = before.UsedBy is not null;
        bool replaces = Check(authority.Roster, request, before, repeated);
        // The token first: killed after this line, the same node may repeat, and no other can use it.
        Keep(authority, tokens.With(redemption.Record!, now));
        if (!repeated || authority.Roster.Nodes.All(node => node.Name != request.Node))
        {
            authority.Change(roster => (replaces ? roster.WithRevoked(request.Node, now) : roster) with
            {
                Nodes = [.. roster.Nodes.Where(node => node.Name != request.Node), new Peer(request.Node, request.Address)],
            });
        }

        return new JoinReply(
            authority.Sign(new PeerIdentity(request.Node, FleetRole.Brain), request.Brain), authority.Sign(new PeerIdentity(request.Node, FleetRole.Agent), request.Agent),
            authority.Signed.Text);
    }

    /// <summary>A new certificate for who has a good one.</summary>
    public RenewReply Renew(PeerIdentity caller, DateTimeOffset notBefore, string request)
    {
        using AuthorityDirectory authority = Open();
        Require(authority.Roster, caller, notBefore);
        return new RenewReply(authority.Sign(caller, request), authority.Signed.Text);
    }

    public LeaveReply Leave(PeerIdentity caller, DateTimeOffset notBefore)
    {
        using AuthorityDirectory authority = Open();
        // Asked twice because the answer was lost: it is out, and that is what it wanted.
        if (authority.Roster.Nodes.Any(node => node.Name == caller.Node))
        {
            Require(authority.Roster, caller, notBefore);
            authority.Change(roster => Without(roster, caller.Node));
        }

        return new LeaveReply(authority.Signed.Text);
    }

    /// <summary>Takes a node out of the fleet and makes all its certificates void.</summary>
    public SignedRoster Revoke(string node)
    {
        using AuthorityDirectory authority = Open();
        if (authority.Roster.Nodes.All(peer => peer.Name != node) && authority.Roster.Find(node) is null)
            throw new FleetSetupException($"the fleet has no node {node}: {string.Join(", ", authority.Roster.Nodes.Select(peer => peer.Name))}");
        authority.Change(roster => Without(roster, node));
        return authority.Signed;
    }

    /// <summary>A second authority that all nodes are to trust besides the first; where there is one, nothing.</summary>
    public AuthorityState AddAuthority() => Replace(authority => authority.AddAuthority());

    /// <summary>The same where the key of the first is lost; see <see cref="AuthorityDirectory.OpenWithoutKey"/>.</summary>
    public AuthorityState AddWithoutKey(X509Certificate2 lost, FleetRoster last, string? serveAt)
    {
        using AuthorityDirectory authority = AuthorityDirectory.OpenWithoutKey(directory, lost, last, serveAt, time);
        return AuthorityState.Of(authority);
    }

    /// <summary>Certificates are of the newest authority from now on.</summary>
    public AuthorityState IssueByNewest() => Replace(authority => authority.IssueByNewest());

    /// <summary>Ends the trust in the old authority and deletes its key.</summary>
    public AuthorityState RetireOld() => Replace(authority => authority.RetireOld());

    public AuthorityState State() => Replace(_ => { });

    /// <summary>A certificate of the newest authority for this host alone, to try who accepts it; the caller disposes it.</summary>
    public X509Certificate2 TryOut(PeerIdentity identity)
    {
        using AuthorityDirectory authority = Open();
        return authority.Newest.IssueOwn(identity, TimeSpan.FromHours(2));
    }

    private AuthorityState Replace(Action<AuthorityDirectory> change)
    {
        using AuthorityDirectory authority = Open();
        change(authority);
        return AuthorityState.Of(authority);
    }

    private FleetRoster Without(FleetRoster roster, string node) =>
        roster.WithRevoked(node, time.GetUtcNow()) with { Nodes = [.. roster.Nodes.Where(peer => peer.Name != node)] };

    private AuthorityDirectory Open() => AuthorityDirectory.Open(directory, create: false, time);

    private static TokenBook Tokens(AuthorityDirectory authority) => TokenBook.Parse(authority.Read(TokenBook.FileName));

    private static void Keep(AuthorityDirectory authority, TokenBook tokens) => authority.Write(TokenBook.FileName, tokens.ToJson());

    /// <summary>Whether the name and address can be had; true if a node of that name is replaced.</summary>
    private static bool Check(FleetRoster roster, JoinRequest request, TokenRecord token, bool repeated)
    {
        if (!NodeName.IsValid(request.Node))
            throw new RegistrarException($"\"{request.Node}\": a node's name must be {NodeName.Permitted}");
        if (!PeersFile.IsAddress(request.Address))
            throw new RegistrarException($"\"{request.Address}\": must be a host name or an IP address, without port");
        if (roster.Nodes.FirstOrDefault(node => node.Address == request.Address && node.Name != request.Node) is { } same)
            throw new RegistrarException($"{request.Address} is the address of {same.Name}: name this host's own with --address");
        bool present = roster.Nodes.Any(node => node.Name == request.Node);
        if (present && !repeated && token.For != request.Node)
            throw new RegistrarException($"the fleet has a node {request.Node}: a token made with --for {request.Node} replaces it, and makes its present certificates void; or give this host another name with --node");
        if (!present && roster.Nodes.Count >= MaxNodes)
            throw new RegistrarException($"the fleet has {MaxNodes} nodes: more are not possible");
        return present && !repeated;
    }

    private static void Require(FleetRoster roster, PeerIdentity caller, DateTimeOffset notBefore)
    {
        if (roster.Find(caller.Node) is { } revoked && notBefore < revoked.Before)
            throw new RegistrarException($"the certificates that {caller.Node} had until {revoked.At:u} were revoked then: join with a new token");
        if (roster.Nodes.All(node => node.Name != caller.Node))
            throw new RegistrarException($"{caller.Node} is not in the fleet: join with a new token");
    }
}

/// <summary>How far a replacement of the authority is.</summary>
/// <param name="Signed">the list that holds</param>
/// <param name="OldKeyLost">nobody but a person can make a node believe in the new one</param>
internal sealed record AuthorityState(SignedRoster Signed, bool OldKeyLost)
{
    public static AuthorityState Of(AuthorityDirectory directory) => new(directory.Signed, directory.Trusted.All.Count > 1 && directory.Anchor == directory.Newest);

    public string Newest => Signed.Authorities.Fingerprints[0];

    /// <summary>The one that is to be retired; null if there is one authority only.</summary>
    public string? Old => Signed.Authorities.Fingerprints.Count > 1 ? Signed.Authorities.Fingerprints[^1] : null;

    /// <summary>Whether certificates are of the newest.</summary>
    public bool NewestIssues => Old is null || Signed.Roster.NewestIssues is not null;
}

/// <summary>The authority says no; the message is for the operator at the other end.</summary>
internal sealed class RegistrarException(string message) : Exception(message)
{
    public bool WasWrongToken { get; init; }
}
