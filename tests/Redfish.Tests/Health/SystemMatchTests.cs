using System.Text;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Tests.Resources;
using Evacuator.Testing;

namespace Evacuator.Redfish.Tests.Health;

public sealed class SystemMatchTests
{
    private const string Uuid = "4C4C4544-0046-3210-8034-C8C04F545233";
    private const string Reset = """ "Actions":{"#ComputerSystem.Reset":{"target":"/x"} } """;

    [Theory]
    [InlineData("4c4c4544-0046-3210-8034-c8c04f545233", true)]
    [InlineData("4C4C4544004632108034C8C04F545233", true)]
    [InlineData("44454C4C-4600-1032-8034-C8C04F545233", true)]
    [InlineData("{4C4C4544-0046-3210-8034-C8C04F545233}", true)]
    [InlineData("4C4C4544-0046-3210-8034-C8C04F545234", false)]
    [InlineData("00000000-0000-0000-0000-000000000000", false)]
    [InlineData("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", false)]
    [InlineData("03000200-0400-0500-0006-000700080009", false)]
    [InlineData("Not Settable", false)]
    [InlineData(null, false)]
    public void SameUuid_InTheFormsSeen_IsRecognised(string? other, bool same) => Assert.Equal(same, SystemMatch.SameUuid(Uuid, other));

    [Fact]
    public void SameUuid_FillerOnBothSides_IsNoMatch() =>
        Assert.False(SystemMatch.SameUuid("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"));

    [Fact]
    public void Choose_OneOfFourNodes_IsFoundByUuid()
    {
        SystemMatch match = SystemMatch.Choose(Nodes(), new HostIdentity("00000002-0000-0000-0000-0000000000aa", null), null);
        Assert.Equal(MatchOutcome.Unique, match.Outcome);
        Assert.Equal("Node2", match.System?.Id);
        Assert.False(match.Scope!.IsOnlyMachine);
        Assert.Equal(["/redfish/v1/Systems/Node2"], match.Scope.Systems);
    }

    [Fact]
    public void Choose_NothingKnownAndFourNodes_IsAmbiguous() =>
        Assert.Equal(MatchOutcome.Ambiguous, SystemMatch.Choose(Nodes(), HostIdentity.Unknown, null).Outcome);

    [Fact]
    public void Choose_NothingKnownAndOneSystem_IsUnique() =>
        Assert.Equal(MatchOutcome.Unique, SystemMatch.Choose([Parse("A", Reset)], HostIdentity.Unknown, null).Outcome);

    [Fact]
    public void Choose_NothingKnownAndVirtualMachinesBesideOne_IsThatOne()
    {
        RedfishResource[] systems = [Parse("A", $""" "SystemType":"Physical",{Reset}"""), Parse("VM1", $""" "SystemType":"Virtual",{Reset}""")];
        SystemMatch match = SystemMatch.Choose(systems, HostIdentity.Unknown, null);
        Assert.Equal((MatchOutcome.Unique, "A", true), (match.Outcome, match.System?.Id, match.Scope!.IsOnlyMachine));
    }

    [Fact]
    public void Choose_OneSystemWithAnotherUuid_IsNone()
    {
        SystemMatch match = SystemMatch.Choose([Parse("A", $""" "UUID":"{Uuid}",{Reset}""")], new HostIdentity("11111111-2222-3333-4444-555555555555", "S1"), null);
        Assert.Equal(MatchOutcome.None, match.Outcome);
        Assert.Null(match.Scope);
    }

    [Fact]
    public void Choose_HostIsKnownButTheOnlySystemSaysNothing_IsNone() =>
        Assert.Equal(MatchOutcome.None, SystemMatch.Choose([Parse("A", Reset)], new HostIdentity(Uuid, null), null).Outcome);

    [Fact]
    public void Choose_BoardUuidDiffersButSerialAgrees_IsUnique() =>
        Assert.Equal(MatchOutcome.Unique, SystemMatch.Choose([Parse("A", $""" "UUID":"{Uuid}","SerialNumber":"J100",{Reset}""")],
            new HostIdentity("11111111-2222-3333-4444-555555555555", "j100"), null).Outcome);

    [Fact]
    public void Choose_ServiceTagInSku_IsASerialNumber() =>
        Assert.Equal(MatchOutcome.Unique, SystemMatch.Choose([Parse("A", $""" "SerialNumber":"CNXXX","SKU":"F264TR3",{Reset}""")], new HostIdentity(null, "F264TR3"), null).Outcome);

    [Fact]
    public void Choose_TwoSystemsWithOneUuid_AreToldApartBySerialOrNotAtAll()
    {
        RedfishResource[] twins = [Parse("A", $""" "UUID":"{Uuid}","SerialNumber":"S1",{Reset}"""), Parse("B", $""" "UUID":"{Uuid}","SerialNumber":"S2",{Reset}""")];
        Assert.Equal("B", SystemMatch.Choose(twins, new HostIdentity(Uuid, "S2"), null).System?.Id);
        Assert.Equal(MatchOutcome.Ambiguous, SystemMatch.Choose(twins, new HostIdentity(Uuid, null), null).Outcome);
    }

    [Fact]
    public void Choose_BaseboardWithoutReset_IsACompanion()
    {
        RedfishResource[] systems = [Parse("HGX_Baseboard_0", """ "Name":"x" """), Parse("System_0", $""" "UUID":"{Uuid}",{Reset}""")];
        SystemMatch match = SystemMatch.Choose(systems, new HostIdentity(Uuid, null), null);
        Assert.Equal("System_0", match.System?.Id);
        Assert.Equal(["/redfish/v1/Systems/System_0", "/redfish/v1/Systems/HGX_Baseboard_0"], match.Scope!.Systems);
        Assert.True(match.Scope.IsOnlyMachine);
    }

    [Fact]
    public void Choose_ConfiguredSystem_WinsUnlessTheIdentityIsAnothers()
    {
        Assert.Equal("Node1", SystemMatch.Choose(Nodes(), HostIdentity.Unknown, "node1").System?.Id);
        Assert.Equal("Node1", SystemMatch.Choose(Nodes(), new HostIdentity(Uuid, null), "/redfish/v1/Systems/Node1/").System?.Id);
        SystemMatch wrong = SystemMatch.Choose(Nodes(), new HostIdentity("00000002-0000-0000-0000-0000000000aa", null), "Node1");
        Assert.Equal(MatchOutcome.None, wrong.Outcome);
        Assert.Contains("Node2", wrong.Reason, StringComparison.Ordinal);
        Assert.Equal(MatchOutcome.None, SystemMatch.Choose(Nodes(), HostIdentity.Unknown, "Node9").Outcome);
    }

    [Fact]
    public async Task Find_NoService_IsNone() =>
        Assert.Equal(MatchOutcome.None, (await SystemMatch.FindAsync(new TreeReader(), HostIdentity.Unknown, null, CancellationToken.None)).Outcome);

    [Fact]
    public async Task Find_OneOfTwoSystemsNotReadableAndNothingKnown_IsAmbiguous()
    {
        TreeReader tree = new TreeReader().Put("/redfish/v1", """{"Systems":{"@odata.id":"/s"}}""")
            .Put("/s", """{"Members":[{"@odata.id":"/s/1"},{"@odata.id":"/s/2"}]}""").Put("/s/1", """{"Id":"1"}""").Fail("/s/2", ReadOutcome.Timeout, "no answer");
        Assert.Equal(MatchOutcome.Ambiguous, (await SystemMatch.FindAsync(tree, HostIdentity.Unknown, null, CancellationToken.None)).Outcome);
    }

    [SharedDataTheory]
    [InlineData("csm-gigabyte", "e9184000-7983-11ec-8000-b42e99bade15", null, "Self")]
    [InlineData("dmtf-public-rackmount1", "38947555-7742-3448-3784-823347823834", null, "437XR1138R2")]
    [InlineData("dell-idrac9-xr8620t", null, "F264TR3", "System.Embedded.1")]
    [InlineData("lenovo-xcc-bmclib", "34463892-3829-4223-8820-489239905423", null, "1")]
    [InlineData("hpe-ilo-dl325_gen10plus_fc", null, "MXQ019020B", "1")]
    [InlineData("supermicro-x10sdv", "00000000-0000-0000-0000-ac1f6b18a45a", null, "1")]
    public async Task Find_GivenTree_IsTheSystem(string tree, string? uuid, string? serial, string id)
    {
        SystemMatch match = await SystemMatch.FindAsync(TreeTests.Tree(tree), new HostIdentity(uuid, serial), null, CancellationToken.None);
        Assert.Equal((MatchOutcome.Unique, id), (match.Outcome, match.System?.Id));
    }

    private static RedfishResource[] Nodes() =>
        [.. Enumerable.Range(0, 4).Select(node => Parse($"Node{node}", $""" "UUID":"0000000{node}-0000-0000-0000-0000000000aa",{Reset}"""))];

    private static RedfishResource Parse(string id, string rest)
    {
        byte[] body = Encoding.UTF8.GetBytes($$"""{"@odata.id":"/redfish/v1/Systems/{{id}}","Id":"{{id}}",{{rest}}}""");
        return RedfishResource.TryParse(body, "/redfish/v1/Systems/" + id, null, out string problem) ?? throw new InvalidOperationException(problem);
    }
}
