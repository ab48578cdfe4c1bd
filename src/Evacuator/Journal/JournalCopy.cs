using Evacuator.Homecoming;
using Evacuator.Windows;

namespace Evacuator.Journal;

/// <summary>
/// What a node's journal has to keep over a reboot, for a peer to hold while the node's own disk cannot: the running evacuation and the last ones, why it is closed, whose guests it has, its windows.
/// </summary>
internal sealed record JournalCopy
{
    /// <summary>Facts that are decisions; the others are found out again.</summary>
    private static readonly string[] Kept = ["admission-closed", "reopened", "led-lit", "signals"];

    private const int LastEvacuations = 5;
    private const int MostGuests = 2000;

    public required DateTimeOffset At { get; init; }

    public required IReadOnlyList<EvacuationState> Evacuations { get; init; }

    public required IReadOnlyList<MoveState> Moves { get; init; }

    public required IReadOnlyList<Guest> Guests { get; init; }

    public required IReadOnlyList<MaintenanceWindow> Windows { get; init; }

    public required IReadOnlyDictionary<string, string> Facts { get; init; }

    public static JournalCopy Of(JournalStore journal, DateTimeOffset now)
    {
        IReadOnlyList<EvacuationState> evacuations = journal.Evacuations(LastEvacuations);
        return new JournalCopy
        {
            At = now,
            Evacuations = evacuations,
            // A token opens the destination's agent for a move that a reboot ends anyway; it is nobody else's business.
            Moves = [.. evacuations.SelectMany(evacuation => journal.Moves(evacuation.Id)).Select(move => move with { Token = null })],
            Guests = [.. journal.Guests().Where(guest => !guest.Left).Take(MostGuests)],
            Windows = journal.Windows(),
            Facts = Kept.Select(name => (name, Value: journal.Fact(name))).Where(fact => fact.Value is not null).ToDictionary(fact => fact.name, fact => fact.Value!),
        };
    }

    /// <summary>Into a journal that has nothing of its own yet.</summary>
    /// <exception cref="JournalException">not written</exception>
    public void WriteTo(JournalStore journal)
    {
        foreach (EvacuationState evacuation in Evacuations.Reverse())
            journal.Write(evacuation, [.. Moves.Where(move => move.EvacuationId == evacuation.Id)]);
        foreach (Guest guest in Guests)
            journal.Write(guest);
        foreach (MaintenanceWindow window in Windows)
            journal.Write(window);
        foreach ((string name, string value) in Facts.Where(fact => Kept.Contains(fact.Key)))
            journal.SetFact(name, value);
    }
}
