using System.Text;
using System.Text.Json.Nodes;
using Evacuator.Redfish.Events;
using Evacuator.Redfish.Power;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Session;
using Evacuator.Redfish.Tests.Fake;
using Evacuator.Redfish.Tests.Health;
using Evacuator.Redfish.Tests.Resources;

namespace Evacuator.Redfish.Tests.Events;

/// <summary>Damaged events, logs and machines: no exception comes out, and no damage switches a machine off in our eyes. Seeds are fixed.</summary>
public sealed class DamageTests
{
    private const string Event = """
        {"@odata.type":"#Event.v1_9_0.Event","Id":"1","Name":"Event","Context":"c","Events":[
          {"EventId":"1","EventTimestamp":"2026-03-01T12:00:00Z","EventType":"Alert","MemberId":"0","Severity":"Critical","MessageSeverity":"Critical","Message":"DIMM A1 fails","MessageId":"Platform.1.0.MemoryUncorrectableError",
           "MessageArgs":["DIMM_A1"],"OriginOfCondition":{"@odata.id":"/redfish/v1/Systems/1/Memory/DIMM_A1"},"LogEntry":{"@odata.id":"/redfish/v1/Systems/1/LogServices/EventLog/Entries/7"},"Oem":{"Hpe":{"Resource":"/redfish/v1/Systems/1"}}},
          {"MessageId":"TMP0120","Severity":null,"OriginOfCondition":"/redfish/v1/Chassis/1"}]}
        """;

    [Fact]
    public void Parse_DamagedEvents_NeverThrows()
    {
        Random random = new(20260310);
        MutationKind[] kinds = [.. Enum.GetValues<MutationKind>().Where(k => k != MutationKind.Vanish)];
        EventFunnel funnel = new(TimeProvider.System);
        for (int mutant = 0; mutant < 5000; mutant++)
        {
            string json = Event;
            for (int depth = random.Next(1, 4); depth > 0 && json.Length > 2 && TryParse(json); depth--)
                json = Mutation.Apply(json, kinds[random.Next(kinds.Length)], random)!;
            EventPayload payload = EventPayload.Parse(Encoding.UTF8.GetBytes(json));
            foreach (EventRecord record in payload.Records)
            {
                funnel.Offer(record, ListenMode.Push);
                Assert.All(record.Touched, uri => Assert.InRange(uri.Length, 1, 1024));
                Assert.InRange(record.Message?.Length ?? 0, 0, 512);
            }
        }
    }

    [Fact]
    public async Task Discover_DamagedServices_NeverThrows()
    {
        Random random = new(20260311);
        MutationKind[] kinds = Enum.GetValues<MutationKind>();
        TreeReader whole = Services();
        string[] keys = [.. whole.Keys.Order(StringComparer.Ordinal)];
        for (int mutant = 0; mutant < 1500; mutant++)
        {
            TreeReader damaged = Services();
            string key = keys[random.Next(keys.Length)];
            string? json = Mutation.Apply(Encoding.UTF8.GetString(whole.Body(key).Span), kinds[random.Next(kinds.Length)], random);
            if (json is null)
                damaged.Fail(key, ReadOutcome.NotFound, "gone");
            else
                damaged.Put(key, json);
            (EventOffer? offer, string message) = await EventOffer.ReadAsync(damaged, random.Next(2) == 0, default);
            Assert.True(offer is not null || message.Length > 0);
            (IReadOnlyList<BmcLog> logs, _) = await LogFinder.FindAsync(damaged, "/redfish/v1/Systems/1", default);
            foreach (BmcLog log in logs)
            {
                LogPoller poller = new(damaged, log.EntriesUri);
                LogLook first = await poller.LookAsync(default);
                Assert.Empty(first.New);
                Assert.Empty((await poller.LookAsync(default)).New);
            }
        }
    }

    [Fact]
    public async Task Power_DamagedMachineThatIsOn_IsNeverOff()
    {
        Random random = new(20260312);
        MutationKind[] kinds = Enum.GetValues<MutationKind>();
        await using FakeBmc bmc = await FakeBmc.StartAsync();
        await using BmcClient client = bmc.Client(change: o => o with { Timeouts = o.Timeouts with { ReadAttempts = 1 } });
        PowerControl power = new(client, FakeBmc.SystemUri, null, TimeProvider.System);
        LocatorLed led = new(client, FakeBmc.SystemUri, TimeProvider.System);
        string[] uris = [FakeBmc.SystemUri, FakeBmc.ChassisUri];
        string[] bodies = [.. uris.Select(u => bmc.Tree[u].ToJsonString())];
        (string Uri, string? Json) damage = ("", null);
        foreach ((string uri, string body) in uris.Zip(bodies))
            bmc.AddFault("GET", uri, context => (damage.Uri == uri ? damage.Json : body) is { } json ? FakeBmc.WriteAsync(context, 200, json) : FakeBmc.WriteAsync(context, 404, null), times: int.MaxValue);
        for (int mutant = 0; mutant < 400; mutant++)
        {
            int which = random.Next(2);
            damage = (uris[which], Mutation.Apply(bodies[which], kinds[random.Next(kinds.Length)], random));
            PowerReading reading = await power.ReadPowerAsync(default);
            Assert.True(reading.State is not PowerState.Off, damage.Json);
            await power.DescribeAsync(default);
            await led.ReadAsync(default);
        }
    }

    private static bool TryParse(string json)
    {
        try
        {
            return JsonNode.Parse(json) is JsonObject or JsonArray;
        }
        catch (System.Text.Json.JsonException)
        {
            return false;
        }
    }

    private static TreeReader Services() => new TreeReader()
        .Put("/redfish/v1", """{"@odata.id":"/redfish/v1/","EventService":{"@odata.id":"/redfish/v1/EventService"}}""")
        .Put("/redfish/v1/EventService", """{"@odata.id":"/redfish/v1/EventService","ServiceEnabled":true,"ServerSentEventUri":"/redfish/v1/EventService/SSE","Status":{"Conditions":[{"Message":"x"}]},"Subscriptions":{"@odata.id":"/redfish/v1/EventService/Subscriptions"}}""")
        .Put("/redfish/v1/Systems/1", """{"@odata.id":"/redfish/v1/Systems/1","LogServices":{"@odata.id":"/redfish/v1/Systems/1/LogServices"},"Links":{"ManagedBy":[{"@odata.id":"/redfish/v1/Managers/1"}]}}""")
        .Put("/redfish/v1/Managers/1", """{"@odata.id":"/redfish/v1/Managers/1","LogServices":{"@odata.id":"/redfish/v1/Managers/1/LogServices"}}""")
        .Put("/redfish/v1/Managers/1/LogServices", """{"@odata.id":"/redfish/v1/Managers/1/LogServices","Members":[{"@odata.id":"/redfish/v1/Managers/1/LogServices/AuditLog"}]}""")
        .Put("/redfish/v1/Systems/1/LogServices", """{"@odata.id":"/redfish/v1/Systems/1/LogServices","Members":[{"@odata.id":"/redfish/v1/Systems/1/LogServices/EventLog"}]}""")
        .Put("/redfish/v1/Systems/1/LogServices/EventLog", """{"@odata.id":"/redfish/v1/Systems/1/LogServices/EventLog","Id":"EventLog","ServiceEnabled":true,"Entries":{"@odata.id":"/redfish/v1/Systems/1/LogServices/EventLog/Entries"}}""")
        .Put("/redfish/v1/Systems/1/LogServices/EventLog/Entries", """
            {"@odata.id":"/redfish/v1/Systems/1/LogServices/EventLog/Entries","Members@odata.count":3,"Members@odata.nextLink":"/redfish/v1/Systems/1/LogServices/EventLog/Entries/page2","Members":[
              {"@odata.id":"/redfish/v1/Systems/1/LogServices/EventLog/Entries/1","Id":"1","Created":"2026-01-01T00:00:00Z","Message":"a","MessageId":"X.1.0.A","Severity":"OK"},
              {"@odata.id":"/redfish/v1/Systems/1/LogServices/EventLog/Entries/2","Id":"2","Created":"2026-01-02T00:00:00Z","Message":"b","MessageId":"X.1.0.B","Severity":"Critical","Links":{"OriginOfCondition":{"@odata.id":"/redfish/v1/Systems/1"}}}]}
            """)
        .Put("/redfish/v1/Systems/1/LogServices/EventLog/Entries/page2", """{"@odata.id":"/redfish/v1/Systems/1/LogServices/EventLog/Entries","Members@odata.count":3,"Members":[{"@odata.id":"/redfish/v1/Systems/1/LogServices/EventLog/Entries/3","Id":"3","Created":"2026-01-03T00:00:00Z","Message":"c"}]}""");
}
