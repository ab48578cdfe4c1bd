using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;

namespace Evacuator.Fleet.Authority;

/// <summary>One token as the authority keeps it, in tokens.json.</summary>
/// <param name="Hash">of the secret; the secret itself is nowhere</param>
/// <param name="For">the only name that may join with it; null: any that the fleet does not have</param>
/// <param name="Failures">wrong secrets shown with this id</param>
/// <param name="UsedBy">the node that joined with it</param>
/// <param name="UsedKeys">hash of that node's requests: the same node may repeat what it did not hear the answer of</param>
internal sealed record TokenRecord(
    string Id, string Hash, string? For, DateTimeOffset Made, DateTimeOffset Until, int Failures = 0, string? UsedBy = null, DateTimeOffset? UsedAt = null, string? UsedKeys = null);

/// <summary>Which tokens there are, and what each is still good for. No clock and no files in it.</summary>
internal sealed record TokenBook(IReadOnlyList<TokenRecord> Tokens)
{
    public const string FileName = "tokens.json";

    /// <summary>A secret of 160 bits is not found in five tries, and who has the id and guesses ends the token, not the fleet.</summary>
    public const int MaxFailures = 5;

    /// <summary>So that "used" and "expired" can be told from "unknown" for a while.</summary>
    private static readonly TimeSpan Remembered = TimeSpan.FromDays(7);

    public static TokenBook Empty { get; } = new([]);

    public static TokenBook Parse(string? text) => text is null ? Empty : new TokenBook(JsonSerializer.Deserialize<List<TokenRecord>>(text, ApiJson.Options) ?? []);

    public string ToJson() => JsonSerializer.Serialize(Tokens, ApiJson.Indented);

    public TokenBook With(TokenRecord record, DateTimeOffset now) =>
        new([.. Tokens.Where(token => token.Id != record.Id && token.Until + Remembered > now), record]);

    /// <summary>What a token that is shown is good for.</summary>
    /// <param name="keys">hash of the requests that come with it</param>
    public Redemption Redeem(string id, string secret, string node, string keys, DateTimeOffset now)
    {
        const string Another = "\"evacuator fleet token\" on the authority's host makes another";
        if (Tokens.FirstOrDefault(token => token.Id == id) is not { } found)
            return Refuse($"the authority knows no such token: it was made for another fleet, or is older than a week; {Another}");
        if (found.Failures >= MaxFailures)
            return Refuse($"the token was shown with a wrong secret {MaxFailures} times and is void; {Another}");
        if (!CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(JoinToken.HashOf(secret)), Encoding.ASCII.GetBytes(found.Hash)))
            return new Redemption(found with { Failures = found.Failures + 1 }, $"the token's secret is wrong; {Another}", WasWrong: true);
        if (found.UsedBy is { } user)
        {
            return user == node && found.UsedKeys == keys && now <= found.Until
                ? new Redemption(found, "", WasWrong: false)
                : Refuse($"the token was used at {found.UsedAt:u} by {user}, and is good for one node once; {Another}");
        }

        if (now > found.Until)
            return Refuse($"the token expired at {found.Until:u}, the authority's clock says {now:u}; {Another}");
        if (found.For is { } name && name != node)
            return Refuse($"the token is for {name}, this host would be {node}: add --node {name} if that is its name");
        return new Redemption(found with { UsedBy = node, UsedAt = now, UsedKeys = keys }, "", WasWrong: false);

        static Redemption Refuse(string text) => new(null, text, WasWrong: true);
    }

    /// <summary>How a token is shown to a person, without its secret.</summary>
    public static string Describe(TokenRecord token, DateTimeOffset now) => token switch
    {
        { UsedBy: { } user } => $"{token.Id}  used by {user} at {token.UsedAt:u}",
        { Failures: >= MaxFailures } => $"{token.Id}  void",
        _ when now > token.Until => $"{token.Id}  expired at {token.Until:u}",
        _ => $"{token.Id}  for {token.For ?? "any new node"}, valid for {Duration.Format(TimeSpan.FromSeconds(Math.Ceiling((token.Until - now).TotalSeconds)))}",
    };
}

/// <param name="Record">the token as it is now, to be kept; null: nothing changed</param>
/// <param name="Refusal">why it is good for nothing; empty when it is good</param>
/// <param name="WasWrong">counts against the address that showed it</param>
internal sealed record Redemption(TokenRecord? Record, string Refusal, bool WasWrong);
