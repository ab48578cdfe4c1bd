using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Http;

/// <summary>The error answers, in the form and with the ids of the DMTF Base registry; the words are our own.</summary>
internal static class RedfishError
{
    private const string Prefix = "Base.1.22.";

    public static RedfishReply NotFound(string uri) =>
        Create(404, "ResourceMissingAtURI", $"There is no resource at {uri}.", [uri]);

    public static RedfishReply Unauthorized(string uri) =>
        Create(401, "NoValidSession", $"{uri} needs a valid session or account.").With("WWW-Authenticate", "Basic realm=\"Redfish\"");

    public static RedfishReply MethodNotAllowed(string method) =>
        Create(405, "OperationNotAllowed", $"{method} is not allowed on this resource.").With("Allow", "GET, HEAD");

    public static RedfishReply MalformedJson() => Create(400, "MalformedJSON", "The body is not a JSON object.");

    public static RedfishReply PropertyMissing(string name) => Create(400, "PropertyMissing", $"The property {name} is required.", [name], name);

    public static RedfishReply PropertyUnknown(string name) => Create(400, "PropertyUnknown", $"The resource has no property {name}.", [name], name);

    public static RedfishReply PropertyNotWritable(string name) => Create(400, "PropertyNotWritable", $"The property {name} is read-only.", [name], name);

    public static RedfishReply PropertyValueType(string value, string name) =>
        Create(400, "PropertyValueTypeError", $"{value} is of the wrong type for {name}.", [value, name], name);

    public static RedfishReply PropertyValueNotInList(string value, string name) =>
        Create(400, "PropertyValueNotInList", $"{value} is not one of the values of {name}.", [value, name], name);

    public static RedfishReply PropertyValueFormat(string value, string name) =>
        Create(400, "PropertyValueFormatError", $"{value} has the wrong form for {name}.", [value, name], name);

    public static RedfishReply ActionParameterMissing(string action, string name) =>
        Create(400, "ActionParameterMissing", $"The action {action} needs {name}.", [action, name], name);

    public static RedfishReply ActionParameterNotInList(string value, string name, string action) =>
        Create(400, "ActionParameterValueNotInList", $"{value} is not one of the values of {name} in {action}.", [value, name, action], name);

    public static RedfishReply ActionConflict(string name, string value, string why) =>
        Create(409, "ActionParameterValueConflict", $"{name} {value} is not possible now: {why}.", [name, value], name);

    public static RedfishReply ResourceInUse(string why) => Create(409, "ResourceInUse", $"Not possible now: {why}.");

    public static RedfishReply PreconditionFailed() => Create(412, "PreconditionFailed", "The entity tag is not that of the resource now.");

    public static RedfishReply PreconditionRequired() => Create(428, "PreconditionRequired", "The change needs an If-Match header.");

    public static RedfishReply SessionLimitExceeded() => Create(503, "SessionLimitExceeded", "No more sessions can be opened: the table is full.");

    public static RedfishReply SubscriptionLimitExceeded() => Create(503, "EventSubscriptionLimitExceeded", "No more subscriptions can be made: the table is full.");

    public static RedfishReply Unavailable(int? retryAfter)
    {
        RedfishReply reply = Create(503, "ServiceTemporarilyUnavailable", $"The service is busy; try again in {retryAfter ?? 10} seconds.", [$"{retryAfter ?? 10}"]);
        return retryAfter is { } seconds ? reply.With("Retry-After", $"{seconds}") : reply;
    }

    private static RedfishReply Create(int status, string id, string message, string[]? args = null, string? property = null)
    {
        var info = new JsonObject
        {
            ["@odata.type"] = "#Message.v1_2_0.Message",
            ["MessageId"] = Prefix + id,
            ["Message"] = message,
            ["MessageArgs"] = new JsonArray([.. (args ?? []).Select(arg => (JsonNode)arg)]),
            ["MessageSeverity"] = status < 500 && status != 404 ? "Warning" : "Critical",
            ["Resolution"] = "None.",
        };
        if (property is not null)
        {
            info["RelatedProperties"] = new JsonArray("#/" + property);
        }

        var body = new JsonObject
        {
            ["error"] = new JsonObject
            {
                ["code"] = Prefix + id,
                ["message"] = message,
                ["@Message.ExtendedInfo"] = new JsonArray(info),
            },
        };
        return new RedfishReply(status, JsonText.Bytes(body));
    }
}
