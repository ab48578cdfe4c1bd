using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Tests.Resources;

public sealed class CollectionReaderTests
{
    [Fact]
    public async Task Read_ThreePages_TakesAllMembers()
    {
        TreeReader tree = new TreeReader()
            .Put("/c", """{"Members":[{"@odata.id":"/c/1"}],"Members@odata.nextLink":"/c?$skip=1"}""")
            .Put("/c?$skip=1", """{"Members":[{"@odata.id":"/c/2","Name":"two"}],"Members@odata.nextLink":"/c?$skip=2"}""")
            .Put("/c?$skip=2", """{"Members":[{"@odata.id":"/c/3"}]}""")
            .Put("/c/1", """{"Name":"one"}""")
            .Put("/c/3", """{"Name":"three"}""");
        CollectionResult result = await ReadAsync(tree);
        Assert.Equal(["one", "two", "three"], result.Members.Select(member => member.Name));
        Assert.True(result.Complete);
        Assert.Empty(result.Warnings);
        Assert.False(tree.Reads.ContainsKey("/c/2"));
    }

    [Fact]
    public async Task Read_NextLinkLeadsBack_StopsAndSaysSo()
    {
        TreeReader tree = new TreeReader()
            .Put("/c", """{"@odata.id":"/c","Members":[],"Members@odata.nextLink":"/c?$skip=1"}""")
            .Put("/c?$skip=1", """{"Members":[],"Members@odata.nextLink":"/c"}""");
        CollectionResult result = await ReadAsync(tree);
        Assert.False(result.Complete);
        Assert.Contains("leads back", Assert.Single(result.Warnings), StringComparison.Ordinal);
        Assert.Equal(2, tree.Requests);
    }

    [Fact]
    public async Task Read_EndlessPages_StopsAtTheBound()
    {
        TreeReader tree = new();
        for (int page = 0; page < 100; page++)
            tree.Put(page == 0 ? "/c" : $"/c?$skip={page}", $$"""{"Members":[],"Members@odata.nextLink":"/c?$skip={{page + 1}}"}""");
        CollectionResult result = await ReadAsync(tree, new CollectionLimits(MaxPages: 5));
        Assert.False(result.Complete);
        Assert.Equal(5, tree.Requests);
    }

    [Fact]
    public async Task Read_MembersMissingNullOrEmpty_CostNothing()
    {
        TreeReader tree = new TreeReader()
            .Put("/c", """{"Members":[null,{},{"@odata.id":null},{"@odata.id":"/c/404"},{"@odata.id":"/c/1"},{"@odata.id":"/c/1/"}],"Members@odata.count":17}""")
            .Put("/c/1", """{"Name":"one"}""");
        CollectionResult result = await ReadAsync(tree);
        Assert.Equal("one", Assert.Single(result.Members).Name);
        Assert.True(result.Complete);
        Assert.Contains("/c/404", Assert.Single(result.Warnings), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"Members":null}""")]
    [InlineData("""{}""")]
    [InlineData("""{"Members":"none"}""")]
    public async Task Read_NoMembers_IsEmptyAndComplete(string json)
    {
        CollectionResult result = await ReadAsync(new TreeReader().Put("/c", json));
        Assert.Empty(result.Members);
        Assert.True(result.Complete);
    }

    [Theory]
    [InlineData(ReadOutcome.Timeout)]
    [InlineData(ReadOutcome.Unavailable)]
    [InlineData(ReadOutcome.Forbidden)]
    public async Task Read_MemberThatIsThereButNotReadable_IsIncomplete(ReadOutcome outcome)
    {
        TreeReader tree = new TreeReader().Put("/c", """{"Members":[{"@odata.id":"/c/1"}]}""").Fail("/c/1", outcome, "no answer");
        CollectionResult result = await ReadAsync(tree);
        Assert.False(result.Complete);
    }

    [Fact]
    public async Task Read_CollectionNotReadable_TellsTheOutcome()
    {
        CollectionResult result = await ReadAsync(new TreeReader().Fail("/c", ReadOutcome.Timeout, "no answer"));
        Assert.Equal(ReadOutcome.Timeout, result.Outcome);
        Assert.False(result.Complete);
    }

    [Fact]
    public async Task Read_MembersArePlainStrings_AreRead()
    {
        TreeReader tree = new TreeReader().Put("/c", """{"Members":["/c/1"]}""").Put("/c/1", """{"Name":"one"}""");
        Assert.Equal("one", Assert.Single((await ReadAsync(tree)).Members).Name);
    }

    [Fact]
    public async Task Read_EntriesWithoutIds_AreAllTaken()
    {
        TreeReader tree = new TreeReader().Put("/c", """{"Members":[{"Message":"a"},{"Message":"a"}]}""");
        Assert.Equal(2, (await ReadAsync(tree)).Members.Count);
    }

    private static Task<CollectionResult> ReadAsync(TreeReader tree, CollectionLimits? limits = null) =>
        CollectionReader.ReadAsync(tree, "/c", limits, CancellationToken.None);
}
