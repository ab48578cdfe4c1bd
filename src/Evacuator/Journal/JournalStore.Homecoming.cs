using Evacuator.Homecoming;

namespace Evacuator.Journal;

internal sealed partial class JournalStore
{
    /// <exception cref="JournalException">not written</exception>
    public void Write(Guest guest) => Written(() => Execute(_connection, """
        INSERT INTO guests VALUES ($container, $home, $body)
        ON CONFLICT(container) DO UPDATE SET home = $home, body = $body
        """,
        ("$container", guest.Container), ("$home", guest.Home), ("$body", Serialize(guest))));

    public Guest? Guest(string container) =>
        Guarded(() => Rows<Guest>("SELECT body FROM guests WHERE container = $container", ("$container", container)).FirstOrDefault());

    /// <summary>Also those that have left again.</summary>
    public IReadOnlyList<Guest> Guests() => Guarded(() => Rows<Guest>("SELECT body FROM guests ORDER BY container"));

    /// <exception cref="JournalException">not written</exception>
    public void Write(Departure departure) => Written(() => Execute(_connection, """
        INSERT INTO departures VALUES ($id, $phase, $started, $body)
        ON CONFLICT(id) DO UPDATE SET phase = $phase, body = $body
        """,
        ("$id", Text(departure.Id)), ("$phase", (int)departure.Move.Phase), ("$started", Text(departure.Requested)), ("$body", Serialize(departure))));

    public Departure? Departure(Guid id) =>
        Guarded(() => Rows<Departure>("SELECT body FROM departures WHERE id = $id", ("$id", Text(id))).FirstOrDefault());

    /// <summary>Newest first.</summary>
    public IReadOnlyList<Departure> Departures(int limit = 1000) =>
        Guarded(() => Rows<Departure>("SELECT body FROM departures ORDER BY started DESC, rowid DESC LIMIT $limit", ("$limit", limit)));

    /// <exception cref="JournalException">not written</exception>
    public void Write(HomecomingState homecoming) => Written(() => Execute(_connection, """
        INSERT INTO homecomings VALUES ($id, $phase, $started, $body)
        ON CONFLICT(id) DO UPDATE SET phase = $phase, body = $body
        """,
        ("$id", Text(homecoming.Id)), ("$phase", (int)homecoming.Phase), ("$started", Text(homecoming.Started)), ("$body", Serialize(homecoming))));

    public HomecomingState? Homecoming(Guid id) =>
        Guarded(() => Rows<HomecomingState>("SELECT body FROM homecomings WHERE id = $id", ("$id", Text(id))).FirstOrDefault());

    /// <summary>Newest first.</summary>
    public IReadOnlyList<HomecomingState> Homecomings(int limit = 100) =>
        Guarded(() => Rows<HomecomingState>("SELECT body FROM homecomings ORDER BY started DESC, rowid DESC LIMIT $limit", ("$limit", limit)));
}
