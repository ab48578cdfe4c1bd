using System.Text;
using Evacuator.Redfish.Events;
using Evacuator.Testing;

namespace Evacuator.Redfish.Tests.Events;

public sealed class EventPayloadTests
{
    [Theory]
    [InlineData("""{"Events":[{"MessageId":"IDRAC.2.8.TMP0110"}]}""", "TMP0110")]
    [InlineData("""{"Events":{"MessageId":"TMP0120"}}""", "TMP0120")]
    [InlineData("""{"Alerts":[{"MessageId":"IDRAC.TMP0120"}]}""", "TMP0120")]
    [InlineData("""{"events":[{"messageid":"iLOEvents.2.3.ResourceUpdated"}]}""", "ResourceUpdated")]
    [InlineData("""{"Events":[{"MessageID":"OpenBMC.0.1.PowerSupplyFailed","MessageId":null}]}""", "PowerSupplyFailed")]
    [InlineData("""{"MessageId":"Base.1.4.0.Success"}""", "Success")]
    [InlineData("""{"Events":[{"MessageId":"0x592A28"}]}""", "0x592A28")]
    [InlineData("""{"Events":[{"Message":"no id"}]}""", "")]
    public void Parse_EveryShape_YieldsTheRecord(string json, string key)
    {
        EventPayload payload = Parse(json);
        Assert.Equal(PayloadKind.Events, payload.Kind);
        Assert.Equal(key, Assert.Single(payload.Records).MessageKey);
        Assert.False(payload.Lost);
    }

    [Theory]
    [InlineData("""{"@odata.id":"/redfish/v1/Systems/1/Memory/2"}""", "/redfish/v1/Systems/1/Memory/2")]
    [InlineData("\"/redfish/v1/Systems/1/\"", "/redfish/v1/Systems/1/")]
    [InlineData("\"/rest/v1/Chassis/1/FooBar\"", "/redfish/v1/Chassis/1/FooBar")]
    [InlineData("null", null)]
    [InlineData("{}", null)]
    [InlineData("7", null)]
    [InlineData("\"N/A\"", null)]
    public void Origin_AnyForm_IsAUriOrNothing(string origin, string? expected)
    {
        EventRecord record = Parse($$"""{"Events":[{"MessageId":"X.1.0.Y","OriginOfCondition":{{origin}}}]}""").Records[0];
        Assert.Equal(expected, record.Origin);
        Assert.Equal(expected is null ? [] : [expected], record.Touched);
    }

    [Theory]
    [InlineData("\"Severity\":\"Critical\"", EventSeverity.Critical)]
    [InlineData("\"MessageSeverity\":\"Warning\"", EventSeverity.Warning)]
    [InlineData("\"Severity\":\"OK\",\"MessageSeverity\":\"Critical\"", EventSeverity.Critical)]
    [InlineData("\"Severity\":\"Informational\"", EventSeverity.Ok)]
    [InlineData("\"Severity\":null", EventSeverity.Unknown)]
    [InlineData("\"Severity\":3", EventSeverity.Unknown)]
    [InlineData("\"MessageArgs\":null", EventSeverity.Unknown)]
    public void Severity_AnyForm_IsKnownOrUnknown(string member, EventSeverity expected) =>
        Assert.Equal(expected, Parse($$"""{"Events":[{"MessageId":"X",{{member}}}]}""").Records[0].Severity);

    [Theory]
    [InlineData("2021-07-13T15:21:27+0300", "2021-07-13T12:21:27")]
    [InlineData("2021-07-13T15:21:27Z", "2021-07-13T15:21:27")]
    [InlineData("2021-07-13T15:21:27.125-05:00", "2021-07-13T20:21:27.125")]
    [InlineData("2021-07-13T15:21:27", "2021-07-13T15:21:27")]
    [InlineData("1970-01-01T00:00:12Z", null)]
    [InlineData("9999-12-31T23:59:59+00:00", null)]
    [InlineData("0000-00-00T00:00:00Z", null)]
    [InlineData("yesterday", null)]
    [InlineData("", null)]
    public void Time_AnyForm_IsOneThatCanBeOrNothing(string written, string? expected)
    {
        DateTimeOffset? time = Parse($$"""{"Events":[{"MessageId":"X","EventTimestamp":"{{written}}"}]}""").Records[0].BmcTime;
        Assert.Equal(expected is null ? null : DateTime.Parse(expected, null, System.Globalization.DateTimeStyles.AssumeUniversal | System.Globalization.DateTimeStyles.AdjustToUniversal), time?.UtcDateTime);
    }

    [Theory]
    [InlineData("""{"@odata.type":"#MetricReport.v1_4_0.MetricReport","MetricValues":[]}""", PayloadKind.MetricReport)]
    [InlineData("""{"MetricValues":[{"MetricId":"x"}]}""", PayloadKind.MetricReport)]
    [InlineData("""{"Events":[]}""", PayloadKind.Empty)]
    [InlineData("""{"Events":"none"}""", PayloadKind.Empty)]
    [InlineData("{}", PayloadKind.Empty)]
    [InlineData("[]", PayloadKind.Unreadable)]
    [InlineData("""{"Events":[{"MessageId":""", PayloadKind.Unreadable)]
    [InlineData("", PayloadKind.Unreadable)]
    public void Kind_WhatIsNoEvent_IsToldApart(string json, PayloadKind expected) => Assert.Equal(expected, Parse(json).Kind);

    [Fact]
    public void Lost_ServiceSaysSoOrTooMuchCame_IsNoted()
    {
        Assert.True(Parse("""{"MessageId":"Base.1.13.EventBufferExceeded","Message":"x"}""").Lost);
        Assert.True(Parse("{ broken").Lost);
        Assert.True(EventPayload.Parse(new byte[EventPayload.MaxBytes + 1]).Lost);
        string many = string.Join(',', Enumerable.Repeat("{\"MessageId\":\"X\"}", EventPayload.MaxRecords + 5));
        EventPayload storm = Parse($"{{\"Events\":[{many}]}}");
        Assert.Equal((EventPayload.MaxRecords, true), (storm.Records.Count, storm.Lost));
    }

    [Theory]
    [InlineData("""{"EventId":"TestEventId","MessageId":"iLOEvents.0.9.PowerSupplyRemoved"}""")]
    [InlineData("""{"MessageId":"X.1.0.Y","Message":"This is a test message"}""")]
    [InlineData("""{"MessageId":"ResourceEvent.1.3.TestMessage"}""")]
    [InlineData("""{"MessageId":"IDRAC.2.8.TST100"}""")]
    [InlineData("""{"MessageId":"X","Context":"evacuator-test"}""")]
    public void Test_FromAnyTestButton_IsRecognised(string record) => Assert.True(Parse($"{{\"Events\":[{record}]}}").Records[0].IsTest);

    [Fact]
    public void Test_RealFault_IsNone() =>
        Assert.False(Parse("""{"Events":[{"MessageId":"PDR16","Message":"Predictive failure reported for Disk 3"}]}""").Records[0].IsTest);

    [Fact]
    public void Identity_DeliveredAgainWithOtherNumbers_IsTheSame()
    {
        EventRecord first = Parse("""{"Events":[{"EventId":"1","MemberId":"7","MessageId":"IDRAC.2.8.MEM0004","MessageArgs":["DIMM1"],"EventTimestamp":"2021-07-13T15:21:27+0300"}]}""").Records[0];
        EventRecord again = Parse("""{"Events":[{"EventId":"9","MemberId":"0","MessageId":"MEM0004","MessageArgs":["DIMM1"],"EventTimestamp":"2021-07-13T12:21:27Z"}]}""").Records[0];
        EventRecord other = Parse("""{"Events":[{"EventId":"1","MemberId":"7","MessageId":"MEM0004","MessageArgs":["DIMM2"],"EventTimestamp":"2021-07-13T12:21:27Z"}]}""").Records[0];
        Assert.Equal(first.Identity, again.Identity);
        Assert.NotEqual(first.Identity, other.Identity);
    }

    [SharedDataFact]
    public void Parse_RecordedPushes_AllYieldTheirRecord()
    {
        string[] files = Directory.GetFiles(Path.Combine(Prerequisites.SharedRedfish!, "events", "push"), "*.json");
        Assert.NotEmpty(files);
        foreach (string file in files)
        {
            EventPayload payload = EventPayload.Parse(File.ReadAllBytes(file));
            EventRecord record = Assert.Single(payload.Records);
            Assert.Equal(Path.GetFileNameWithoutExtension(file).Split('.')[^1], record.MessageKey);
            Assert.NotNull(record.BmcTime);
            Assert.NotEqual(EventSeverity.Unknown, record.Severity);
            Assert.Equal(record.MessageKey == "PowerSupplyRemoved", record.IsTest);
        }
    }

    [SharedDataFact]
    public void Parse_RecordedPushesCutAnywhere_NeverThrows()
    {
        foreach (string file in Directory.GetFiles(Path.Combine(Prerequisites.SharedRedfish!, "events", "push"), "*.json"))
        {
            byte[] whole = File.ReadAllBytes(file).AsSpan().TrimEnd("\r\n "u8).ToArray();
            for (int length = 0; length < whole.Length; length++)
                Assert.Equal(PayloadKind.Unreadable, EventPayload.Parse(whole.AsMemory(0, length)).Kind);
        }
    }

    private static EventPayload Parse(string json) => EventPayload.Parse(Encoding.UTF8.GetBytes(json));
}
