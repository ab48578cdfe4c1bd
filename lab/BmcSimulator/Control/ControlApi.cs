using System.Text.Json;
using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Lab.BmcSimulator.Http;
using Evacuator.Lab.BmcSimulator.Model;
using Microsoft.AspNetCore.Http;

namespace Evacuator.Lab.BmcSimulator.Control;

/// <summary>
/// HTTP on the unix socket, without authentication: the socket's file mode is the guard.
/// <code>
/// POST   /event              a Redfish event, a record, or the short form; with "Patch" it changes resources too
/// GET    /redfish/…          any resource, not counted and hit by no fault
/// PATCH  /redfish/…          any property
/// DELETE /redfish/…          the resource answers 404 from now on
/// GET    /sessions           open sessions, the most there were, streams, subscriptions
/// GET    /requests           counters; DELETE starts them again
/// GET    /faults             faults in force; POST adds, DELETE clears
/// GET    /state              name, UUID, serial number, power, fingerprint, address
/// POST   /reset-model        patches and removals are forgotten, the log is emptied
/// </code>
/// </summary>
internal sealed class ControlApi(SimulatorParts parts, SimulatorControl control, Func<JsonObject> state)
{
    public async Task HandleAsync(HttpContext context)
    {
        try
        {
            (int status, byte[] body) = await AnswerAsync(context);
            await SendAsync(context, status, body);
        }
        catch (Exception error) when (error is JsonException or FormatException or NotSupportedException)
        {
            await SendAsync(context, 400, Error(error.Message));
        }
        catch (KeyNotFoundException error)
        {
            await SendAsync(context, 404, Error(error.Message));
        }
    }

    private async Task<(int Status, byte[] Body)> AnswerAsync(HttpContext context)
    {
        string method = context.Request.Method;
        string path = RedfishRequest.UriOf(context);
        switch (method, path)
        {
            case ("POST", "/event"):
                control.PostEvent(JsonText.ParseObject(await ReadAsync(context)));
                return (204, []);
            case ("GET", "/sessions"):
                return (200, JsonText.Bytes(Sessions()));
            case ("GET", "/requests"):
                return (200, JsonSerializer.SerializeToUtf8Bytes(parts.Requests.Report(), JsonSerializerOptions.Web));
            case ("DELETE", "/requests"):
                parts.Requests.Reset();
                return (204, []);
            case ("GET", "/faults"):
                return (200, Fault.ToJson(parts.Faults.List()));
            case ("POST", "/faults"):
                Fault.Parse((await ReadAsync(context)).Span).ToList().ForEach(control.AddFault);
                return (204, []);
            case ("DELETE", "/faults"):
                parts.Faults.Clear();
                return (204, []);
            case ("GET", "/state"):
                return (200, JsonText.Bytes(state()));
            case ("POST", "/reset-model"):
                parts.Patches.Clear();
                parts.Log.Clear();
                return (204, []);
            case ("GET", _) when path.StartsWith("/redfish", StringComparison.Ordinal):
                return (200, parts.Model.Read(path) ?? throw new KeyNotFoundException($"there is no resource {path} in this tree"));
            case ("PATCH", _) when path.StartsWith("/redfish", StringComparison.Ordinal):
                control.Patch(path, JsonText.ParseObject(await ReadAsync(context)));
                return (200, parts.Model.Read(path) ?? []);
            case ("DELETE", _) when path.StartsWith("/redfish", StringComparison.Ordinal):
                parts.Patches.Remove(path);
                return (204, []);
            default:
                return (404, Error($"{method} {path} is not part of the control interface"));
        }
    }

    private JsonObject Sessions() => new()
    {
        ["sessions"] = new JsonArray([.. parts.Sessions.List().Select(session => new JsonObject
        {
            ["id"] = session.Id,
            ["user"] = session.User,
            ["created"] = Timestamp.Format(session.Created),
            ["lastUsed"] = Timestamp.Format(session.LastUsed),
        })]),
        ["peak"] = parts.Sessions.Peak,
        ["streams"] = parts.Streams.Count,
        ["subscriptions"] = new JsonArray([.. parts.Subscriptions.List().Select(subscription => (JsonNode)subscription.Show(parts.Subscriptions.Uri(subscription)))]),
    };

    private static byte[] Error(string message) => JsonText.Bytes(new JsonObject { ["error"] = message });

    private static async Task<ReadOnlyMemory<byte>> ReadAsync(HttpContext context)
    {
        using var buffer = new MemoryStream();
        await context.Request.Body.CopyToAsync(buffer, context.RequestAborted);
        return buffer.ToArray();
    }

    private static async Task SendAsync(HttpContext context, int status, byte[] body)
    {
        context.Response.StatusCode = status;
        if (body.Length > 0)
        {
            context.Response.ContentType = "application/json";
            context.Response.ContentLength = body.Length;
            await context.Response.Body.WriteAsync(body, context.RequestAborted);
        }
    }
}
