namespace Evacuator.Common.AgentApi;

/// <summary>What the kernel says about whether anything is left on this host. GET /v1/emptiness.</summary>
/// <param name="Empty">true only if every check could be made and found nothing</param>
/// <param name="At">when it was looked at</param>
/// <param name="Checks">one entry a check</param>
public sealed record EmptinessReport(bool Empty, DateTimeOffset At, IReadOnlyList<EmptinessCheck> Checks);

/// <summary>One kind of thing that would show that work is left.</summary>
/// <param name="Name">cgroups, processes, runtimes, network-namespaces, veths, mounts, moves</param>
/// <param name="Passed">looked at and nothing found; false also when it could not be looked at</param>
/// <param name="Examined">how many things were looked at</param>
/// <param name="Left">what was found, in words</param>
public sealed record EmptinessCheck(string Name, bool Passed, int Examined, IReadOnlyList<string> Left);

/// <summary>POST /v1/poweroff: the agent proves emptiness again itself and answers 409 with the report if anything is left.</summary>
public sealed record PowerOffRequest(Guid EvacuationId, string Reason);

/// <summary>PUT /v1/admission: while closed, the agent accepts no inbound move.</summary>
public sealed record AdmissionRequest(bool Open, string Reason);

/// <summary>Body of every refused request on the unix sockets.</summary>
public sealed record ErrorReply(string Error, IReadOnlyList<Blocker>? Blockers = null);
