using System.Text;
using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Tests.Resources;

public sealed class RedfishResourceTests
{
    [Fact]
    public void Text_NameInAnotherCase_IsFound() =>
        Assert.Equal("Critical", Parse("""{"status":{"HEALTH":"Critical"}}""").Text("Status", "Health"));

    [Fact]
    public void Text_TwoNamesDifferingInCase_TakesTheExactOne()
    {
        RedfishResource resource = Parse("""{"MessageID":"wrong","MessageId":"right"}""");
        Assert.Equal("right", resource.Text("MessageId"));
        Assert.Equal("wrong", resource.Text("MessageID"));
    }

    [Fact]
    public void Text_ExactNameIsNull_TakesTheOtherCase() =>
        Assert.Equal("x", Parse("""{"MessageId":null,"MessageID":"x"}""").Text("MessageId"));

    [Theory]
    [InlineData("""{"A":null}""")]
    [InlineData("""{"A":[]}""")]
    [InlineData("""{"A":{}}""")]
    [InlineData("""{"A":""}""")]
    [InlineData("""{"A":"\ud800"}""")]
    [InlineData("{}")]
    public void EveryAccessor_ValueOfNoUse_IsNullOrEmpty(string json)
    {
        RedfishResource resource = Parse(json);
        Assert.Null(resource.Text("A"));
        Assert.Null(resource.Number("A"));
        Assert.Null(resource.Flag("A"));
        Assert.Null(resource.Link("A"));
        Assert.Null(resource.Child("A", "B"));
        Assert.Null(resource.Text("A", "B", "C"));
        Assert.Empty(resource.Texts("A"));
    }

    [Theory]
    [InlineData("42", 42.0)]
    [InlineData("\"42\"", 42.0)]
    [InlineData("\" 42.5 %\"", 42.5)]
    [InlineData("\"N/A\"", null)]
    [InlineData("1e999", null)]
    [InlineData("true", null)]
    [InlineData("[1]", null)]
    public void Number_AsBmcsSendIt_IsReadOrNull(string value, double? expected) =>
        Assert.Equal(expected, Parse($$"""{"A":{{value}}}""").Number("A"));

    [Theory]
    [InlineData("true", true)]
    [InlineData("\"True\"", true)]
    [InlineData("\"NO\"", false)]
    [InlineData("0", false)]
    [InlineData("\"maybe\"", null)]
    [InlineData("{}", null)]
    public void Flag_AsBmcsSendIt_IsReadOrNull(string value, bool? expected) =>
        Assert.Equal(expected, Parse($$"""{"A":{{value}}}""").Flag("A"));

    [Theory]
    [InlineData("""{"@odata.id":"/redfish/v1/Chassis/1"}""", "/redfish/v1/Chassis/1")]
    [InlineData("""[{},null,{"@odata.id":"/redfish/v1/Chassis/1"}]""", "/redfish/v1/Chassis/1")]
    [InlineData("\"/redfish/v1/Chassis/1/\"", "/redfish/v1/Chassis/1/")]
    [InlineData("{}", null)]
    [InlineData("\"N/A\"", null)]
    [InlineData("""{"@odata.id":7}""", null)]
    public void Link_ObjectStringOrArray_IsItsTarget(string value, string? expected) =>
        Assert.Equal(expected, Parse($$"""{"A":{{value}}}""").Link("A"));

    [Fact]
    public void Items_ObjectInsteadOfArray_IsTheOnlyItem() =>
        Assert.Equal("1", Assert.Single(Parse("""{"Events":{"EventId":1}}""").Items("Events")).Text("EventId"));

    [Fact]
    public void Items_ArrayWithOtherThings_GivesTheObjectsWithTheirPlace()
    {
        IReadOnlyList<RedfishResource> fans = Parse("""{"@odata.id":"/redfish/v1/Chassis/1/Thermal","Fans":[null,{"Name":"a"},3]}""").Items("Fans");
        Assert.Equal("/redfish/v1/Chassis/1/Thermal#/Fans/1", Assert.Single(fans).Uri);
    }

    [Fact]
    public void Uri_NoId_IsWhereItWasReadFrom() => Assert.Equal("/redfish/v1/x", Parse("{}").Uri);

    [Theory]
    [InlineData("{\"A\":\"one\r\ntwo\"}", "one  two")]
    [InlineData("{\"A\":\"x\",}", "x")]
    [InlineData("{/* why */\"A\":\"x\"}\0\0", "x")]
    [InlineData("\uFEFF{\"A\":\"x\"}", "x")]
    [InlineData("{\"R\":nan,\"Q\":-inf,\"A\":\"nan\"}", "nan")]
    public void TryParse_TextThatIsNotQuiteJson_IsRead(string json, string expected) => Assert.Equal(expected, Parse(json).Text("A"));

    [Fact]
    public void TryParse_BytesThatAreNoUtf8_CostOnlyThemselves()
    {
        byte[] body = [.. "{\"A\":\""u8, 0xFF, .. "\",\"B\":\"x\"}"u8];
        RedfishResource? resource = RedfishResource.TryParse(body, "/redfish/v1/x", null, out _);
        Assert.Equal("x", resource?.Text("B"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("\0")]
    [InlineData("<html></html>")]
    [InlineData("[]")]
    [InlineData("{\"A\":")]
    public void TryParse_NoJsonObject_SaysWhat(string body)
    {
        Assert.Null(RedfishResource.TryParse(Encoding.UTF8.GetBytes(body), "/redfish/v1/x", null, out string problem));
        Assert.NotEqual("", problem);
    }

    [Fact]
    public void TryParse_DeepNesting_IsRefused()
    {
        string deep = string.Concat(Enumerable.Repeat("{\"A\":", 100_000)) + "1" + new string('}', 100_000);
        Assert.Null(RedfishResource.TryParse(Encoding.UTF8.GetBytes(deep), "/redfish/v1/x", null, out _));
    }

    [Fact]
    public void TryParse_LargerThanTheBound_IsRefused()
    {
        Assert.Null(RedfishResource.TryParse(new byte[RedfishResource.MaxBytes + 1], "/redfish/v1/x", null, out string problem));
        Assert.Contains("more than", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void ETag_HeaderAndNumberInBody_HeaderWins()
    {
        byte[] body = Encoding.UTF8.GetBytes("""{"@odata.etag":1720649379}""");
        Assert.Equal("W/\"1\"", RedfishResource.TryParse(body, "/x", "W/\"1\"", out _)?.ETag);
        Assert.Equal("1720649379", RedfishResource.TryParse(body, "/x", null, out _)?.ETag);
    }

    [Theory]
    [InlineData("/redfish/v1/Systems/1", "/redfish/v1/systems/1/", true)]
    [InlineData("/redfish/v1/Chassis/1/Thermal#/Fans/0", "/redfish/v1/Chassis/1/Thermal", true)]
    [InlineData("/redfish/v1/Systems/1", "/redfish/v1/Systems/10", false)]
    public void Same_TwoSpellings_AreOneResource(string left, string right, bool same) => Assert.Equal(same, RedfishUri.Same(left, right));

    private static RedfishResource Parse(string json) =>
        RedfishResource.TryParse(Encoding.UTF8.GetBytes(json), "/redfish/v1/x", null, out string problem) ?? throw new InvalidOperationException(problem);
}
