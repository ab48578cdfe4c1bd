using System.Text.Json;
using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;
using Evacuator.Lab.BmcSimulator.Sessions;
using Microsoft.AspNetCore.Http;

namespace Evacuator.Lab.BmcSimulator.Http;

/// <summary>A request that has passed the door.</summary>
/// <param name="Session">Null for Basic and for what is open to all.</param>
internal sealed record RedfishRequest(HttpContext Context, string Method, string Uri, Session? Session)
{
    public static string UriOf(HttpContext context) => ResourceUri.Normalise(context.Request.Path.Value ?? "");

    public bool IsPost(string? uri) => Method == "POST" && Uri == uri;

    /// <returns>The body, or null where it is not a JSON object.</returns>
    public async Task<JsonObject?> ReadBodyAsync()
    {
        using var buffer = new MemoryStream();
        await Context.Request.Body.CopyToAsync(buffer, Context.RequestAborted);
        try
        {
            return JsonText.Parse(buffer.ToArray()) as JsonObject;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
