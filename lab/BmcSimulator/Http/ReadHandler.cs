using System.Globalization;
using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Events;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Http;

/// <summary>GET and HEAD of any resource.</summary>
internal sealed class ReadHandler(ServiceModel model, EventLogOverlay log, FaultMenu faults) : IRedfishHandler
{
    private static readonly byte[] Versions = JsonText.Bytes(new JsonObject { ["v1"] = "/redfish/v1/" });

    public Task<RedfishReply?> TryHandleAsync(RedfishRequest request) =>
        Task.FromResult(request.Method is "GET" or "HEAD" ? Read(request) : null);

    private RedfishReply Read(RedfishRequest request)
    {
        if (request.Uri == "/redfish")
        {
            return new RedfishReply(200, model.Read(request.Uri) ?? Versions);
        }

        if (IsMemberThatMisses(request) || model.Read(request.Uri) is not { } body)
        {
            return RedfishError.NotFound(request.Uri);
        }

        body = log.CutPage(request.Uri, body, Skip(request));

        string tag = (faults.Take(FaultKind.ETagWeak, request.Method, request.Uri) is null ? "" : "W/") + ServiceModel.ETag(body);
        return request.Context.Request.Headers.IfNoneMatch == tag
            ? new RedfishReply(304, ReadOnlyMemory<byte>.Empty).With("ETag", tag)
            : new RedfishReply(200, body).With("ETag", tag);
    }

    private bool IsMemberThatMisses(RedfishRequest request)
    {
        if (!faults.IsActive(FaultKind.MissingMembers))
        {
            return false;
        }

        string parent = ResourceUri.Parent(request.Uri);
        bool isTop = parent is ServiceLayout.Root + "/Systems" or ServiceLayout.Root + "/Chassis" or ServiceLayout.Root + "/Managers";
        return model.ReadObject(parent) is { } collection && collection.ContainsKey("Members")
            && (!isTop || faults.List().Any(fault => fault.Kind == FaultKind.MissingMembers && fault.Uri == request.Uri))
            && faults.Take(FaultKind.MissingMembers, request.Method, request.Uri) is not null;
    }

    private static int Skip(RedfishRequest request)
    {
        string? skip = request.Context.Request.Query["$skip"].FirstOrDefault() ?? request.Context.Request.Query["$skiptoken"].FirstOrDefault();
        return int.TryParse(skip, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0;
    }
}
