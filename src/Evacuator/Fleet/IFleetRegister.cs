using Evacuator.Fleet.Etcd;

namespace Evacuator.Fleet;

/// <summary>What nodes tell each other besides what they answer when asked: who is about to send what, where room is held, which node a container's name belongs to.</summary>
internal interface IFleetRegister
{
    /// <summary>Names of containers here that belong to another node, as far as the fleet knows, in words.</summary>
    IReadOnlyList<string> Duplicates { get; }

    /// <summary>What a plan for these containers has to reckon with. Nothing if the store does not answer: the destinations check again in any case.</summary>
    Task<FleetClaims> LookAsync(IReadOnlyCollection<string> containers, CancellationToken token);

    /// <summary>Room held in the whole fleet, as far as it is known here.</summary>
    Task<IReadOnlyList<ReservationRecord>> ReservationsAsync(CancellationToken token);

    /// <summary>Something has changed here that others plan with.</summary>
    void Ring();
}

/// <summary>A fleet without a store: each node answers for itself, and nobody else does.</summary>
internal sealed class NoFleetRegister : IFleetRegister
{
    public IReadOnlyList<string> Duplicates => [];

    public Task<FleetClaims> LookAsync(IReadOnlyCollection<string> containers, CancellationToken token) => Task.FromResult(FleetClaims.None);

    public Task<IReadOnlyList<ReservationRecord>> ReservationsAsync(CancellationToken token) => Task.FromResult<IReadOnlyList<ReservationRecord>>([]);

    public void Ring()
    {
    }
}
