using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Lab.BmcSimulator.Http;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Power;

/// <summary>The action ComputerSystem.Reset: 204 means accepted, the rest is for PowerState to tell.</summary>
internal sealed class ResetHandler(ServiceLayout layout, NodePower power, FaultMenu faults) : IRedfishHandler
{
    private const string Action = "ComputerSystem.Reset";
    private const string Parameter = "ResetType";

    public async Task<RedfishReply?> TryHandleAsync(RedfishRequest request)
    {
        if (!request.IsPost(layout.ResetTarget))
        {
            return null;
        }

        if (await request.ReadBodyAsync() is not { } body)
        {
            return RedfishError.MalformedJson();
        }

        if (body.Get(Parameter).Text() is not { } type)
        {
            return RedfishError.ActionParameterMissing(Action, Parameter);
        }

        if (layout.ResetTypes.Count > 0 && !layout.ResetTypes.Contains(type))
        {
            return RedfishError.ActionParameterNotInList(type, Parameter, Action);
        }

        return faults.Take(FaultKind.ResetIgnored, request.Method, request.Uri) is not null ? RedfishReply.NoContent : Request(type);
    }

    private RedfishReply Request(string type) => power.Request(type) switch
    {
        ResetOutcome.Accepted => RedfishReply.NoContent,
        ResetOutcome.AlreadyThere => RedfishError.ActionConflict(Parameter, type, $"the system is {power.State} already"),
        ResetOutcome.Busy => RedfishError.ResourceInUse($"the system is {power.State}"),
        _ => RedfishError.ActionParameterNotInList(type, Parameter, Action),
    };
}
