using System.CommandLine;
using Evacuator.Api;
using Evacuator.Journal;

namespace Evacuator.Cli;

/// <summary>"evacuator on-shutdown": what evacuator-on-shutdown.service runs when the host goes down.</summary>
internal static class OnShutdownVerb
{
    public static Command Create() => Verb.Create("on-shutdown", "Empties this host before it goes down, for as long as that may take.", async (context, token) =>
    {
        using BrainClient client = context.Connect();
        NodeStatus status = await client.GetAsync<NodeStatus>(ApiRoutes.Status, token).ConfigureAwait(false);
        // The host goes down because it is empty: nothing is left to do, and the service would wait for this here.
        if (status.Evacuation is { State: EvacuationPhase.PoweringOff })
            return CliExit.Ok;
        if (status.Host is not null && status.Containers.Count == 0)
        {
            context.Out.WriteLine("this host has no container");
            return CliExit.Ok;
        }

        StartReply reply = await client.SendAsync<StartReply>(HttpMethod.Post, ApiRoutes.Evacuations,
            new StartRequest { OperationId = Guid.NewGuid(), Reason = "the host is being shut down", OnShutdown = true }, token).ConfigureAwait(false);
        context.Out.WriteLine(reply.Text);
        return await Follow.RunAsync(client, reply.Id, context, asJson: false, TimeProvider.System, token).ConfigureAwait(false);
    });
}
