using Evacuator.Common.Fleet;
using Evacuator.Fleet.Authority;
using Evacuator.Testing;
using System.Net;

namespace Evacuator.Tests.Fleet;

public sealed class TokenBookTests
{
    private static readonly DateTimeOffset Now = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    private readonly JoinToken _token = JoinToken.Make(new string('A', 64));

    [Fact]
    public void Redeem_Good_IsUsedFromThenOn()
    {
        TokenBook book = Book();
        Redemption first = Redeem(book, "node2", "keys");
        Assert.Equal("", first.Refusal);
        book = book.With(first.Record!, Now);

        Assert.Contains("was used at 2026-03-01 12:00:00Z by node2", Redeem(book, "node3", "other").Refusal, StringComparison.Ordinal);
        Assert.Contains("was used", Redeem(book, "node2", "other").Refusal, StringComparison.Ordinal);
        // The answer was lost: the same node with the same keys.
        Assert.Equal("", Redeem(book, "node2", "keys").Refusal);
        Assert.Contains("was used", book.Redeem(_token.Id, _token.Secret, "node2", "keys", Now.AddHours(2)).Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void Redeem_Expired_SaysWhenByWhoseClock()
    {
        Assert.Equal("", Book().Redeem(_token.Id, _token.Secret, "node2", "keys", Now.AddHours(1)).Refusal);
        Assert.Contains("expired at 2026-03-01 13:00:00Z, the authority's clock says 2026-03-01 13:00:01Z",
            Book().Redeem(_token.Id, _token.Secret, "node2", "keys", Now.AddHours(1).AddSeconds(1)).Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void Redeem_ForAnother_NamesIt() =>
        Assert.Contains("the token is for db1", Redeem(Book(forNode: "db1"), "node2", "keys").Refusal, StringComparison.Ordinal);

    [Fact]
    public void Redeem_WrongSecret_EndsTheTokenAfterFive()
    {
        TokenBook book = Book();
        string wrong = JoinToken.Make(new string('A', 64)).Secret;
        for (int attempt = 0; attempt < TokenBook.MaxFailures; attempt++)
        {
            Redemption refused = book.Redeem(_token.Id, wrong, "node2", "keys", Now);
            Assert.Contains("secret is wrong", refused.Refusal, StringComparison.Ordinal);
            book = book.With(refused.Record!, Now);
        }

        Assert.Contains("void", Redeem(book, "node2", "keys").Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void With_OldOnes_AreForgottenAfterAWeek()
    {
        TokenBook book = Book().With(new TokenRecord("B", "h", null, Now.AddDays(9), Now.AddDays(10)), Now.AddDays(9));
        Assert.Equal(["B"], book.Tokens.Select(token => token.Id));
        Assert.Contains("knows no such token", Redeem(book, "node2", "keys").Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void Parse_WhatWasWritten_IsTheSame()
    {
        TokenBook book = Book(forNode: "db1");
        Assert.Equal(book.Tokens, TokenBook.Parse(book.ToJson()).Tokens);
        Assert.DoesNotContain(_token.Secret, book.ToJson(), StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void Guard_TooManyFromOneAddress_WaitsAndOthersDoNot()
    {
        ManualTime time = new();
        JoinGuard guard = new(time);
        IPAddress one = IPAddress.Parse("10.0.0.9"), mapped = one.MapToIPv6(), six = IPAddress.Parse("fd00::1"), neighbour = IPAddress.Parse("fd00::ffff:2");
        for (int failure = 0; failure < JoinGuard.MaxFailures; failure++)
        {
            Assert.Null(guard.Waits(one));
            guard.Failed(failure % 2 == 0 ? one : mapped);
            guard.Failed(six);
        }

        Assert.Equal(JoinGuard.Window, guard.Waits(mapped));
        Assert.NotNull(guard.Waits(neighbour));
        Assert.Null(guard.Waits(IPAddress.Parse("10.0.0.8")));
        time.Advance(JoinGuard.Window);
        Assert.Null(guard.Waits(one));
    }

    private TokenBook Book(string? forNode = null) => new([new TokenRecord(_token.Id, _token.SecretHash, forNode, Now, Now.AddHours(1))]);

    private Redemption Redeem(TokenBook book, string node, string keys) => book.Redeem(_token.Id, _token.Secret, node, keys, Now);
}
