using Evacuator.NodeAgent.PageStore;

namespace Evacuator.NodeAgent.Tests.PageStore;

public class AddressMovesTests
{
    [Fact]
    public void Move_ThereAndBack_IsNoMove()
    {
        AddressMoves moves = new();
        moves.Move(0x10000, 0x90000, 0x4000);
        moves.Move(0x90000, 0x10000, 0x4000);

        Assert.Empty(moves.Pieces);
        Assert.Equal(0x11000UL, moves.ToStore(0x11000));
    }

    [Fact]
    public void ToStore_WhereSomethingMovedAway_WantsNothing()
    {
        AddressMoves moves = new();
        moves.Move(0x10000, 0x90000, 0x4000);

        Assert.Null(moves.ToStore(0x10000));
        Assert.Equal(0x14000UL, moves.ToStore(0x14000));
        Assert.Equal(0x13000UL, moves.ToStore(0x93000));
    }

    /// <summary>Against a model that keeps the store's address of every page of the process.</summary>
    [Fact]
    public void Moves_AnySequence_AgreeWithAModelOfPages()
    {
        const int Pages = 64;
        const ulong Page = 0x1000;
        for (int seed = 0; seed < 500; seed++)
        {
            Random random = new(seed);
            AddressMoves moves = new();
            int?[] model = [.. Enumerable.Range(0, Pages).Select(page => (int?)page)];
            for (int step = 0; step < 12; step++)
            {
                int length = random.Next(1, 9), from = random.Next(0, Pages - length), to = random.Next(0, Pages - length);
                // mremap refuses to move onto itself, and unmaps what was at the target before it moves.
                if (Math.Abs(from - to) < length)
                    continue;
                int?[] moved = [.. model.Skip(from).Take(length)];
                for (int i = 0; i < length; i++)
                {
                    if (model[to + i] is { } overwritten && moves.ToStore((ulong)(to + i) * Page) is { } stored)
                        Assert.Equal((ulong)overwritten * Page, stored);
                    model[from + i] = null;
                }
                // The unmap comes as an event of its own: its pages are cleared in the table, so they are of no interest any more.
                HashSet<int> gone = [.. model.Skip(to).Take(length).OfType<int>()];
                for (int i = 0; i < length; i++)
                    model[to + i] = moved[i];
                moves.Move((ulong)from * Page, (ulong)to * Page, (ulong)length * Page);
                for (int page = 0; page < Pages; page++)
                {
                    if (model[page] is { } expected && !gone.Contains(expected))
                    {
                        Assert.Equal((ulong)expected * Page, moves.ToStore((ulong)page * Page));
                        Assert.Equal((ulong)page * Page, moves.ToProcess((ulong)expected * Page));
                    }
                }
                model = [.. model.Select(page => page is { } held && gone.Contains(held) ? null : page)];
            }
        }
    }

    [Fact]
    public void Uniform_NeverCrossesABorderOfAMove()
    {
        AddressMoves moves = new();
        moves.Move(0x10000, 0x90000, 0x4000);

        Assert.Equal(0x8000UL, moves.Uniform(0x8000, 0x100000));
        Assert.Equal(0x4000UL, moves.Uniform(0x90000, 0x100000));
        Assert.Equal(0x1000UL, moves.Uniform(0x13000, 0x100000));
    }
}
