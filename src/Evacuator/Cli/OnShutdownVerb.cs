using System.CommandLine;
using Evacuator.Api;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Journal;

namespace Evacuator.Cli;

/// <summary>"evacuator on-shutdown": what evacuator-on-shutdown.service runs when the host goes down.</summary>
internal static class OnShutdownVerb
{
    /// <summary>When its time is over the service itself cancels the evacuation; this long it gets for that, and then the host goes down whatever it says.</summary>
    internal static readonly TimeSpan Grace = TimeSpan.FromMinutes(1);

    public static Command Create() => Verb.Create("on-shutdown", "Empties this host before it goes down, for as long as that may take.", async (context, token) =>
    {
        using BrainClient client = context.Connect();
        NodeStatus status = await client.GetAsync<NodeStatus>(ApiRoutes.Status, token).ConfigureAwait(false);
        // The host goes down because it is empty: nothing is left to do, and the service would wait for this here.
        if (status.Evacuation is { State: EvacuationPhase.PoweringOff })
            return CliExit.Ok;
        bool underWay = status.Evacuation is { } evacuation && !evacuation.State.IsEnd();
        if (!underWay && status.Host is not null && status.Containers.Count == 0)
        {
            context.Out.WriteLine("this host has no container");
            return CliExit.Ok;
        }

        StartReply reply = await client.SendAsync<StartReply>(HttpMethod.Post, ApiRoutes.Evacuations,
            new StartRequest { OperationId = Guid.NewGuid(), Reason = "the host is being shut down", OnShutdown = true }, token).ConfigureAwait(false);
        TimeSpan patience = TimeSpan.FromSeconds(reply.SecondsLeft ?? 0);
        context.Out.WriteLine($"{reply.Text}: the shutdown waits for it, {Duration.Format(TimeSpan.FromSeconds(Math.Ceiling(patience.TotalSeconds)))} at most");
        TimeProvider time = TimeProvider.System;
        long start = time.GetTimestamp();
        return await Follow.RunAsync(client, reply.Id, context, asJson: false, time, token, Enough).ConfigureAwait(false);

        int? Enough(EvacuationReport report)
        {
            // Asked for by somebody else, with a shutdown at its end: this one is that shutdown, and it waits for us.
            if (report.State == EvacuationPhase.PoweringOff)
                return CliExit.Ok;
            if (time.GetElapsedTime(start) <= patience + Grace)
                return null;
            string left = string.Join(", ", report.Containers.Where(container => container.State != MovePhase.Moved).Select(container => container.Name));
            context.Error.WriteLine($"evacuator: this host has waited long enough and goes down; not moved: {(left.Length > 0 ? left : "nothing")}");
            return CliExit.Failed;
        }
    });
}
