using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Lab.BmcSimulator.Http;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Sessions;

/// <summary>Login and logout.</summary>
internal sealed class SessionHandler(ServiceLayout layout, SessionTable sessions, SessionOverlay overlay, Authenticator authenticator, FaultMenu faults) : IRedfishHandler
{
    public async Task<RedfishReply?> TryHandleAsync(RedfishRequest request)
    {
        if (layout.Sessions is not { } collection)
        {
            return null;
        }

        if (request.IsPost(collection) || request.IsPost(collection + "/Members"))
        {
            return await LogInAsync(request);
        }

        return request.Method == "DELETE" && ResourceUri.Parent(request.Uri) == collection && sessions.Close(ResourceUri.Id(request.Uri)) ? RedfishReply.NoContent : null;
    }

    private async Task<RedfishReply> LogInAsync(RedfishRequest request)
    {
        if (await request.ReadBodyAsync() is not { } body)
        {
            return RedfishError.MalformedJson();
        }

        if (body.Get("UserName").Text() is not { } user)
        {
            return RedfishError.PropertyMissing("UserName");
        }

        if (body.Get("Password").Text() is not { } password)
        {
            return RedfishError.PropertyMissing("Password");
        }

        if (!authenticator.Knows(user, password))
        {
            return RedfishError.Unauthorized(request.Uri);
        }

        Session? session = faults.Take(FaultKind.SessionTableFull, request.Method, request.Uri) is null ? sessions.Open(user) : null;
        if (session is null)
        {
            return RedfishError.SessionLimitExceeded();
        }

        JsonObject resource = overlay.Show(session);
        return new RedfishReply(201, JsonText.Bytes(resource)).With("Location", overlay.Uri(session)).With("X-Auth-Token", session.Token);
    }
}
