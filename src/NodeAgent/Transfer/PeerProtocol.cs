using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Network;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// The protocol between two agents: HTTP/1.1 over mutual TLS 1.3, both certificates with the role "agent", every request with the version
/// (<see cref="Common.Fleet.ProtocolVersions"/>) and the move's one-time token. This file is the specification.
/// </summary>
/// <remarks>
/// <code>
/// source                                                destination
/// PUT    /v1/moves/{id}/offer      Offer                → 200 OfferReply        Announced → Receiving
/// GET    /v1/moves/{id}/trees/{n}  Upgrade: evacuator-tree → 101, then the rsync protocol both ways, any number of times
/// GET    /v1/moves/{id}/pages      Upgrade: evacuator-pages → 101, then PageFrames until the source closes it; up to 8 side by side, of one sending
/// POST   /v1/moves/{id}/arm                             → 204                   still Receiving: the restore is prepared as far as it goes
/// PUT    /v1/moves/{id}/images     ImageStream          → 204                   still Receiving
/// POST   /v1/moves/{id}/hold                            → 204                   still Receiving; its frames are held here from now on
/// POST   /v1/moves/{id}/complete   CompleteRequest      → 200 PeerReply(Ready)  Receiving → Ready, all checked
/// GET    /v1/moves/{id}/away/{lane} Upgrade: evacuator-away → 101, then AwayRequests until everything is here; 410 when nothing is away any more
///                                                        lane "wanted" and lane "rest"; only if the answer Ready says Fetches; a new one takes the place of an older one
///        ── the source journals Released ──
/// POST   /v1/moves/{id}/release                         → 200 PeerReply(Running | Failed), after the restore; may be repeated
/// POST   /v1/moves/{id}/lost                            → 200 PeerReply         the source's host was rebooted while memory was away: what runs here is removed, Failed
/// POST   /v1/moves/{id}/known                           → 200 PeerReply         the source has heard Running; answered Running, it removes its own
/// GET    /v1/moves/{id}                                 → 200 PeerReply         an unknown id is answered Failed, for ever, unless a container of that name runs: 409
/// DELETE /v1/moves/{id}                                 → 200 PeerReply(Failed) with the frames that were held; 409 once released
/// </code>
/// Refusals: 401 wrong token, 403 not a peer or not this move's source, 409 wrong phase, 426 another protocol version, 413 too large.
/// Every body that is not a stream is JSON of at most <see cref="MaxJson"/> bytes.
/// </remarks>
internal static class PeerProtocol
{
    public const string TokenHeader = "Evacuator-Token";

    /// <summary>Name of the container: a destination that has lost its journal can look whether it runs before it says that it does not.</summary>
    public const string ContainerHeader = "Evacuator-Container";
    public const string TreeUpgrade = "evacuator-tree";
    public const string WantedLane = "wanted", RestLane = "rest";

    /// <summary>Bytes. A description holds the container's whole configuration and neighbour table.</summary>
    public const int MaxJson = 4 << 20;

    /// <summary>Bytes of frames in one message; in JSON they take a third more, and have to leave room for the rest.</summary>
    public const int MaxFrames = 1 << 20;

    public static string Move(Guid id) => $"/v1/moves/{id}";
}

/// <summary>A container on offer.</summary>
/// <param name="Container">everything that belongs to it</param>
/// <param name="Engine">the source can send its memory while it runs; without, its memory is in the images</param>
/// <param name="Stopped">it is stopped at the source and started anew at the destination: files travel, no memory and no images</param>
/// <param name="Processes">that it has now: the destination must be able to keep descriptors for each</param>
internal sealed record Offer(ContainerDescription Container, bool Engine, int Processes = 0, bool Stopped = false);

/// <summary>Whether the destination takes the container; if not, every reason.</summary>
/// <param name="Engine">it takes the memory ahead of the images, too; only if it was offered</param>
/// <param name="WhyNoEngine">why it does not, though it was offered</param>
/// <param name="Stopped">it knows what that means; an agent of an earlier version does not say so</param>
/// <param name="Shared">it takes shared memory ahead of the images; an agent of an earlier version does not say so</param>
/// <param name="Compressed">it takes batches that are compressed; an agent of an earlier version does not say so</param>
/// <param name="PostCopy">it can run the container before all of its memory is here; an agent of an earlier version does not say so</param>
internal sealed record OfferReply(bool Accepted, IReadOnlyList<Blocker> Blockers, bool Engine = false, string WhyNoEngine = "", bool Stopped = false, bool PostCopy = false, bool Shared = false, bool Compressed = false);

/// <summary>What changed while the container stood still and travels last.</summary>
/// <param name="Neighbours">the neighbour tables of its interfaces, freshest state (ContainerDescription as JSON)</param>
/// <param name="ImageFiles">how many files the images have</param>
/// <param name="ImageBytes">how many bytes</param>
/// <param name="Frames">what was sent to the container since its link was cut, oldest first; at most <see cref="PeerProtocol.MaxFrames"/> bytes</param>
/// <param name="Shared">shared memory that came ahead of the images</param>
internal sealed record CompleteRequest(string Neighbours, int ImageFiles, long ImageBytes, IReadOnlyList<HeldFrame>? Frames = null, IReadOnlyList<SharedArrival>? Shared = null);

/// <summary>Shared memory that was sent ahead, and whose image is empty for that reason.</summary>
/// <param name="Number">negative: in the frames' place of a pid</param>
/// <param name="Image">ID of its pagemap-shmem-ID.img</param>
/// <param name="Pages">that the destination has to have of it</param>
internal sealed record SharedArrival(int Number, ulong Image, long Pages);

/// <summary>Where the destination stands.</summary>
/// <param name="Phase">its phase</param>
/// <param name="Detail">why it failed</param>
/// <param name="Parts">parts of the resume in milliseconds, "total" being from the release's arrival to running tasks with a connected network</param>
/// <param name="Frames">only when it is forgotten: what was held for the container, once</param>
/// <param name="Fetch">memory that was at the source alone when it was Ready; null if there was none</param>
/// <param name="Fetches">some of it is not here yet, or not known to be: the source's copy is needed</param>
/// <param name="Refused">why it closed a stream of memory; the source sees only that its connection broke</param>
internal sealed record PeerReply(
    DestinationPhase Phase, string Detail, IReadOnlyDictionary<string, double> Parts, IReadOnlyList<HeldFrame>? Frames = null, FetchReport? Fetch = null, bool Fetches = false,
    string? Refused = null);
