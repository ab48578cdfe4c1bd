using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator.Sessions;

/// <summary>Shows the open sessions as resources, after those the tree holds.</summary>
internal sealed class SessionOverlay(ServiceLayout layout, SessionTable sessions) : IResourceOverlay
{
    public bool Covers(string uri) => uri == layout.Sessions;

    public void Apply(string uri, JsonObject resource) => CollectionMembers.Append(resource, sessions.List().Select(Uri));

    public JsonObject? Create(string uri) =>
        layout.Sessions is { } collection && ResourceUri.Parent(uri) == collection && sessions.FindById(ResourceUri.Id(uri)) is { } session ? Show(session) : null;

    public string Uri(Session session) => $"{layout.Sessions}/{session.Id}";

    public JsonObject Show(Session session) => new()
    {
        ["@odata.id"] = Uri(session),
        ["@odata.type"] = "#Session.v1_7_0.Session",
        ["Id"] = session.Id,
        ["Name"] = "User Session",
        ["UserName"] = session.User,
        ["CreatedTime"] = Timestamp.Format(session.Created),
    };
}
