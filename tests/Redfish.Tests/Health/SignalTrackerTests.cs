using System.Text.Json;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Resources;

namespace Evacuator.Redfish.Tests.Health;

public sealed class SignalTrackerTests
{
    private static readonly DateTimeOffset Start = new(2026, 3, 1, 2, 0, 0, TimeSpan.Zero);
    private static readonly TrackerOptions Options = TrackerOptions.Default;

    private TrackerState _state = TrackerState.Empty;
    private DateTimeOffset _now = Start;

    [Fact]
    public async Task Reading_SignalTwice_IsOneWithItsSpan()
    {
        ModelTree sick = SickDrive();
        SignalChange appeared = Assert.Single(await ReadAsync(sick));
        Assert.Equal(SignalChangeKind.Appeared, appeared.Kind);
        Later(5);
        Assert.Empty(await ReadAsync(sick));
        TrackedSignal tracked = Assert.Single(_state.Signals.Values);
        Assert.Equal((2, 0, Start, Start.AddMinutes(5)), (tracked.Reads, tracked.Events, tracked.Signal.FirstSeen, tracked.Signal.LastSeen));
    }

    [Fact]
    public async Task Reading_Gone_ClearsAfterTwoCleanReads()
    {
        await ReadAsync(SickDrive());
        Assert.Empty(await ReadAsync(ModelTree.Healthy()));
        Assert.Single(_state.Signals);
        Assert.Equal(SignalChangeKind.Cleared, Assert.Single(await ReadAsync(ModelTree.Healthy())).Kind);
        Assert.Empty(_state.Signals);
    }

    [Fact]
    public async Task Reading_Flapping_NeverClears()
    {
        for (int round = 0; round < 5; round++)
        {
            await ReadAsync(SickDrive());
            await ReadAsync(ModelTree.Healthy());
        }
        Assert.Equal(5, Assert.Single(_state.Signals.Values).Reads);
    }

    [Fact]
    public async Task Reading_GraverThanBefore_Worsened()
    {
        await ReadAsync(ModelTree.Healthy().Status(ModelTree.Sensor, "Enabled", "Warning"));
        Assert.Equal(SignalChangeKind.Worsened, Assert.Single(await ReadAsync(ModelTree.Healthy().Status(ModelTree.Sensor, "Enabled", "Critical"))).Kind);
    }

    /// <summary>Silence is no health: as long as a reading cannot tell, a signal stays.</summary>
    [Fact]
    public async Task Reading_CannotTell_LeavesTheSignal()
    {
        ModelTree[] silent =
        [
            ModelTree.Healthy().Fail(ModelTree.Drive, ReadOutcome.Timeout),
            ModelTree.Healthy().Remove(ModelTree.Drive),
            ModelTree.Healthy().Fail(ModelTree.System, ReadOutcome.Unavailable),
            ModelTree.Healthy().Drop(ModelTree.System, "Storage"),
            ModelTree.Healthy().Drop(ModelTree.Drive, "Status"),
            ModelTree.Healthy().Fail(ModelTree.Storage + "/Drives/Disk1", ReadOutcome.Forbidden),
        ];
        await ReadAsync(SickDrive());
        foreach (ModelTree tree in silent)
            for (int round = 0; round < 5; round++)
                Assert.Empty(await ReadAsync(tree));
        Assert.Single(_state.Signals);
    }

    [Fact]
    public async Task Reading_DrivePulled_Clears()
    {
        ModelTree pulled = ModelTree.Healthy().Set(ModelTree.Storage, "Drives", $$"""[{"@odata.id":"{{ModelTree.Storage}}/Drives/Disk1"}]""");
        await ReadAsync(SickDrive());
        await ReadAsync(pulled);
        Assert.Equal(SignalChangeKind.Cleared, Assert.Single(await ReadAsync(pulled)).Kind);
    }

    [Fact]
    public async Task Reading_UncorrectableCountGrows_RaisesAndHolds()
    {
        await ReadAsync(ModelTree.Healthy());
        SignalChange raised = Assert.Single(await ReadAsync(Errors(2)));
        Assert.Equal((SignalKind.UncorrectableError, SignalSeverity.Critical, ComponentKind.Memory), (raised.Signal.Signal.Kind, raised.Signal.Signal.Severity, raised.Signal.Signal.Component));
        for (int round = 0; round < 5; round++)
            Assert.Empty(await ReadAsync(Errors(2)));
        Later(25 * 60);
        Assert.Equal(SignalChangeKind.Cleared, Assert.Single(await ReadAsync(Errors(2))).Kind);
    }

    [Fact]
    public async Task Reading_FirstCountIsHighOrCounterIsReset_RaisesNothing()
    {
        Assert.Empty(await ReadAsync(Errors(2)));
        Assert.Empty(await ReadAsync(Errors(0)));
        Assert.Empty(_state.Signals);
    }

    [Fact]
    public async Task Event_AboutAKnownSignal_ConfirmsItOncePerMinute()
    {
        await ReadAsync(SickDrive());
        for (int storm = 0; storm < 1000; storm++)
            Assert.True(Send("StorageDevice.1.0.DrivePredictiveFailure", ModelTree.Drive).NeedsRead);
        Assert.Equal((1, 1), (Assert.Single(_state.Signals.Values).Events, _state.Signals.Values.First().Reads));
        Later(2);
        Send("StorageDevice.1.0.DrivePredictiveFailure", ModelTree.Drive);
        Assert.Equal(2, Assert.Single(_state.Signals.Values).Events);
    }

    [Fact]
    public async Task Event_BeforeTheReading_CountsOnceTheReadingShowsIt()
    {
        Send("StorageDevice.1.0.DrivePredictiveFailure", ModelTree.Drive);
        Assert.True(Assert.Single(_state.Signals.Values).IsOnlyAnnounced);
        Later(1);
        await ReadAsync(SickDrive());
        TrackedSignal tracked = Assert.Single(_state.Signals.Values);
        Assert.Equal((1, 1, Start), (tracked.Reads, tracked.Events, tracked.Signal.FirstSeen));
        Assert.Equal("S0", tracked.Signal.Location.SerialNumber);
    }

    [Fact]
    public async Task Event_ThatNoReadingShows_StaysAnnouncedAndGoesAfterItsHold()
    {
        Send("OpenBMC.0.1.CPUError", null, "CPU 7");
        for (int round = 0; round < 5; round++)
            await ReadAsync(ModelTree.Healthy());
        Assert.True(Assert.Single(_state.Signals.Values).IsOnlyAnnounced);
        Later(24 * 60);
        await ReadAsync(ModelTree.Healthy());
        Assert.Empty(_state.Signals);
    }

    [Theory]
    [InlineData("PDR24")]
    [InlineData("ResourceEvent.1.0.TestMessage")]
    [InlineData("HeartbeatEvent.1.0.RedfishServiceFunctional")]
    public void Event_TestOrHeartbeat_ChangesNothing(string id)
    {
        TrackerStep step = Send(id, ModelTree.Drive);
        Assert.Empty(step.Changes);
        Assert.False(step.NeedsRead);
        Assert.Same(TrackerState.Empty, _state);
    }

    [Fact]
    public void Event_UnknownId_AsksForAReadAndNothingElse()
    {
        TrackerStep step = Send("Contoso.1.0.DriveWillFail", ModelTree.Drive);
        Assert.True(step.NeedsRead);
        Assert.Empty(_state.Signals);
    }

    [Fact]
    public async Task Event_ThatClears_NeedsOneCleanReadOnly()
    {
        await ReadAsync(SickDrive());
        Send("StorageDevice.1.0.DrivePredictiveFailureCleared", ModelTree.Drive);
        Assert.Single(_state.Signals);
        Assert.Equal(SignalChangeKind.Cleared, Assert.Single(await ReadAsync(ModelTree.Healthy())).Kind);
    }

    [Fact]
    public async Task Event_ThatClearsWhatAReadingStillShows_ChangesNothing()
    {
        await ReadAsync(SickDrive());
        Send("StorageDevice.1.0.DrivePredictiveFailureCleared", ModelTree.Drive);
        Assert.Empty(await ReadAsync(SickDrive()));
        Assert.Empty(await ReadAsync(ModelTree.Healthy()));
        Assert.Single(_state.Signals);
    }

    [Fact]
    public void Event_ThatClearsOneOfTwoDimmsWithTheSystemAsOrigin_ClearsThatOne()
    {
        Send("IDRAC.2.8.MEM0005", ModelTree.System, "DIMM_A1");
        Send("IDRAC.2.8.MEM0005", ModelTree.System, "DIMM_A2");
        Assert.Equal(2, _state.Signals.Count);
        Send("IDRAC.2.8.MEM0021", ModelTree.System, "DIMM_A1");
        Assert.Equal("DIMM_A2", Assert.Single(_state.Signals.Values).Signal.Location.Place);
    }

    [Fact]
    public void Event_StormOfDifferentMessages_IsBounded()
    {
        for (int storm = 0; storm < 10_000; storm++)
            Send("OpenBMC.0.1.CPUError", null, $"CPU {storm}");
        Assert.Equal(Options.MaxAnnounced, _state.Signals.Count);
    }

    [Fact]
    public async Task Reading_WithDoubt_LeavesTheAgeOfTheLastCompleteOne()
    {
        await ReadAsync(ModelTree.Healthy());
        Later(10);
        await ReadAsync(ModelTree.Healthy().Fail(ModelTree.Dimm, ReadOutcome.Timeout));
        Assert.Equal((Start, Start.AddMinutes(10)), (_state.LastComplete, _state.LastReading));
    }

    [Fact]
    public async Task State_WrittenAndReadBack_GoesOnAsBefore()
    {
        await ReadAsync(SickDrive());
        Send("OpenBMC.0.1.CPUError", null, "CPU 7");
        _state = JsonSerializer.Deserialize<TrackerState>(JsonSerializer.Serialize(_state))!;
        Assert.Empty(await ReadAsync(SickDrive()));
        Assert.Equal(2, _state.Signals.Count);
        Assert.Equal(2, _state.Signals.Values.Single(tracked => !tracked.IsOnlyAnnounced).Reads);
        await ReadAsync(ModelTree.Healthy());
        Assert.Equal(SignalChangeKind.Cleared, Assert.Single(await ReadAsync(ModelTree.Healthy())).Kind);
    }

    [Fact]
    public async Task Reread_OfOnePart_ShowsItInTwoRequestsAndClearsNothingElse()
    {
        ModelTree both = SickDrive().Status(ModelTree.Supply, "Enabled", "Critical").Set(ModelTree.Metrics, "HealthData/AlarmTrips/CorrectableECCError", "true");
        await ReadAsync(SickDrive().Status(ModelTree.Supply, "Enabled", "Critical"));
        HealthReading reread = await HealthWalk.RereadAsync(both.Reader(), [ModelTree.Dimm], null, TimeProvider.System, CancellationToken.None);
        Assert.Equal(2, reread.Requests);
        Assert.Equal(SignalKind.CorrectableErrorThreshold, Assert.Single(Apply(reread)).Signal.Signal.Kind);
        Assert.Equal(3, _state.Signals.Count);

        ModelTree healthy = ModelTree.Healthy();
        for (int round = 0; round < 3; round++)
            Apply(await HealthWalk.RereadAsync(healthy.Reader(), [ModelTree.Dimm, ModelTree.Supply], null, TimeProvider.System, CancellationToken.None));
        Assert.Equal(ComponentKind.Drive, Assert.Single(_state.Signals.Values).Signal.Component);
        Assert.Equal(Start, _state.LastReading);
    }

    [Theory]
    [InlineData("/redfish/v1/nowhere")]
    [InlineData(ModelTree.System)]
    [InlineData(ModelTree.System + "/Memory")]
    public async Task Reread_OfWhatIsNoPart_SaysNothing(string uri)
    {
        await ReadAsync(SickDrive());
        for (int round = 0; round < 3; round++)
            Assert.Empty(Apply(await HealthWalk.RereadAsync(ModelTree.Healthy().Reader(), [uri], null, TimeProvider.System, CancellationToken.None)));
        Assert.Single(_state.Signals);
    }

    private IReadOnlyList<SignalChange> Apply(HealthReading reading)
    {
        TrackerStep step = SignalTracker.Apply(_state, reading, Options, _now);
        _state = step.State;
        return step.Changes;
    }

    private static ModelTree SickDrive() => ModelTree.Healthy().Set(ModelTree.Drive, "FailurePredicted", "true");

    private static ModelTree Errors(int count) => ModelTree.Healthy().Set(ModelTree.Metrics, "LifeTime/UncorrectableECCErrorCount", count.ToString());

    private void Later(int minutes) => _now = _now.AddMinutes(minutes);

    private async Task<IReadOnlyList<SignalChange>> ReadAsync(ModelTree tree) => Apply(await tree.WalkAsync());

    private TrackerStep Send(string id, string? origin, string? place = null)
    {
        TrackerStep step = SignalTracker.Apply(_state, new HealthMessage(id, null, origin, place), Options, _now);
        _state = step.State;
        return step;
    }
}
