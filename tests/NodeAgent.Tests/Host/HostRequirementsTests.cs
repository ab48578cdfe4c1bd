using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Host;
using Evacuator.Testing;

namespace Evacuator.NodeAgent.Tests.Host;

public sealed class HostRequirementsTests
{
    [Theory]
    [InlineData("6.12.48+deb13-amd64", "6.12.48")]
    [InlineData("Version: 4.2", "4.2.0")]
    [InlineData("runc version 1.1.15+ds1", "1.1.15")]
    [InlineData("none", null)]
    public void Version_InText_IsFound(string text, string? version) => Assert.Equal(version, HostRequirements.ParseVersion(text)?.ToString());

    [Theory]
    [InlineData("Version: 4.1.1", "6.12.48", true, BlockerCode.CriuTooOld)]
    [InlineData("Version: 4.1.1", "6.16.0", false, BlockerCode.CriuTooOld)]
    [InlineData("Version: 4.2.1", "6.18.44", true, BlockerCode.CriuTooOld)]
    [InlineData("Version: 3.17.1", "6.12.48", false, BlockerCode.CriuTooOld)]
    [InlineData("segmentation fault", "6.12.48", false, BlockerCode.CriuMissing)]
    [InlineData(null, "6.12.48", false, BlockerCode.CriuMissing)]
    public void Criu_WithKernel_IsJudgedAsAPair(string? output, string kernel, bool met, BlockerCode code)
    {
        Requirement requirement = Assert.Single(HostRequirements.JudgeCriu(output, Version.Parse(kernel)));

        Assert.Equal((met, code), (requirement.Met, requirement.Code));
        Assert.Equal(met, requirement.Remedy.Length == 0);
    }

    [Theory]
    [InlineData("6.1.0-18-amd64", false)]
    [InlineData("6.12.48+deb13-amd64", true)]
    public void Kernel_Release_IsJudged(string release, bool met) => Assert.Equal(met, HostRequirements.JudgeKernel(release, HostRequirements.ParseVersion(release)).Met);

    [Theory]
    [InlineData("runc version 1.1.15+ds1\ncommit: x", true)]
    [InlineData("runc version 1.0.0~rc93", false)]
    [InlineData(null, false)]
    public void Runc_Output_IsJudged(string? output, bool met) => Assert.Equal(met, HostRequirements.JudgeRunc(output).Met);

    [Fact]
    public void Freezer_NoHierarchy_IsMissingWithARemedy()
    {
        Requirement requirement = HostRequirements.JudgeFreezer("/nonexistent");

        Assert.False(requirement.Met);
        Assert.NotEmpty(requirement.Remedy);
    }

    [RootFact]
    public void Kernel_OfTheMoves_HasWhatTrackingNeeds()
    {
        Assert.Null(KernelFeatures.PagemapScan());
        Assert.Null(KernelFeatures.UserfaultWriteProtect());
    }

    [Fact]
    public async Task Report_OfThisHost_HasItsNumbers()
    {
        HostReport report = await new HostProbe("n1", "1.0", 1, "/nonexistent/containers", "/run", TimeProvider.System).ReportAsync(inboundOpen: true, memoryReserved: 1 << 20, diskReserved: 0, default);

        Assert.True(report.MemoryTotal > report.MemoryAvailable && report.MemoryAvailable > 0);
        Assert.True(report.DiskAvailable > 0);
        Assert.NotEqual(Guid.Empty, Guid.Parse(report.BootId));
        Assert.Contains(report.Requirements, r => r.Name == "criu");
        Assert.All(report.Requirements, r => Assert.Equal(r.Met, r.Remedy.Length == 0));
    }

    [Theory]
    [InlineData("MemTotal:       24689908 kB\nMemFree: 1 kB\n", "MemTotal", 24689908L * 1024)]
    [InlineData("MemTotal: x kB\n", "MemTotal", 0)]
    [InlineData("", "MemTotal", 0)]
    public void Meminfo_Line_IsRead(string text, string name, long bytes) => Assert.Equal(bytes, HostProbe.Bytes(text, name));
}
