using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Microsoft.Extensions.Logging;

namespace Evacuator.NodeAgent.Api;

/// <summary>
/// Who is in the fleet and whom it trusts, for the agent: a list counts because the authority signed it, not because the brain brought it. Kept as fleet.json, peers.conf and
/// ca.crt, for the next start of both services: the brain may not write there.
/// </summary>
internal sealed partial class AgentFleet(FleetTls tls, EvacuatorOptions options, ILogger<AgentFleet> log)
{
    private readonly Lock _writing = new();

    /// <exception cref="FleetSetupException">it is not this fleet's list, or not sound</exception>
    public void Accept(string text)
    {
        SignedRoster roster = SignedRoster.Parse(text, tls.Authorities, "the list from the brain");
        lock (_writing)
        {
            if (!tls.Accept(roster))
                return;
            try
            {
                FleetMembers.Write(options, roster);
                LogAccepted(log, roster.Roster.Number, roster.Roster.Nodes.Count);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It holds until the next start, and the brain, which has it in its journal, brings it again then.
                LogNotKept(log, roster.Roster.Number, e.Message);
            }
        }
    }

    /// <summary>At the start: killed between the files of a list, the agent finds the list and the authorities of the one before.</summary>
    public void Complete()
    {
        if (tls.Roster is not { } roster)
            return;
        try
        {
            lock (_writing)
                FleetMembers.WriteAuthorities(options, roster);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogNotKept(log, roster.Roster.Number, e.Message);
        }
    }

    [LoggerMessage(1403, LogLevel.Information, "list {Number} of the fleet holds: {Nodes} nodes")]
    private static partial void LogAccepted(ILogger log, long number, int nodes);

    [LoggerMessage(1404, LogLevel.Warning, "list {Number} of the fleet holds, but could not be written: {Reason}")]
    private static partial void LogNotKept(ILogger log, long number, string reason);
}
