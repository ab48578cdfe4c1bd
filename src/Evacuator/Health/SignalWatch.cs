using System.Text.Json;
using Evacuator.Agent;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Evacuation;
using Evacuator.Journal;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Evacuator.Health;

/// <summary>Does what [evacuation] on-critical-signal says when the hardware has failed or predicts it. The same finding acts once, over restarts and reboots.</summary>
internal sealed partial class SignalWatch(
    ISignalSource source, BmcHealth health, EvacuationService evacuations, Admission admission, AgentClient agent, JournalStore journal, EvacuatorOptions options,
    TimeProvider time, ILogger<SignalWatch> log) : BackgroundService
{
    private const string Fact = "signals-first-seen";

    private readonly HashSet<string> _said = [];
    private Dictionary<string, DateTimeOffset> _firstSeen = [];

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (journal.Fact(Fact) is { } text)
            _firstSeen = JsonSerializer.Deserialize<Dictionary<string, DateTimeOffset>>(text, ApiJson.Options) ?? [];
        await foreach (SignalNews news in source.WatchAsync(stoppingToken).ConfigureAwait(false))
        {
            health.Remember(news);
            RememberFirstSeen(news);
            foreach (OpenSignal signal in news.Open.Where(signal => signal.Grave))
                await ActAsync(signal, stoppingToken).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// A finding that is there again after it was gone is a new one, and its first sight is part of its identity. It is gone only when the controller could tell:
    /// one that is silent after a reboot does not make old findings new.
    /// </summary>
    private void RememberFirstSeen(SignalNews news)
    {
        DateTimeOffset now = time.GetUtcNow();
        Dictionary<string, DateTimeOffset> after = news.Open.DistinctBy(signal => signal.Key).ToDictionary(signal => signal.Key, signal => _firstSeen.GetValueOrDefault(signal.Key, now));
        if (!news.CanTell)
        {
            foreach ((string key, DateTimeOffset since) in _firstSeen)
                after.TryAdd(key, since);
        }

        if (after.Count == _firstSeen.Count && after.Keys.All(_firstSeen.ContainsKey))
            return;
        journal.SetFact(Fact, JsonSerializer.Serialize(after, ApiJson.Options));
        _firstSeen = after;
    }

    private async Task ActAsync(OpenSignal signal, CancellationToken token)
    {
        string identity = $"signal:{signal.Key}@{_firstSeen[signal.Key].ToUnixTimeMilliseconds()}";
        bool isNews = _said.Add(identity);
        SignalAction action = options.Evacuation.OnCriticalSignal;
        if (isNews && action != SignalAction.Ignore)
            LogSignal(log, signal.Text, Words.Of(action));
        if (action is not (SignalAction.Evacuate or SignalAction.EvacuateAndPowerOff) || journal.EvacuationByTrigger(identity) is not null)
            return;
        if (await IsEmptyAndClosedAsync(token).ConfigureAwait(false))
        {
            if (isNews)
                LogNothingToDo(log, signal.Text);
            return;
        }

        Trigger trigger = new()
        {
            Kind = TriggerKind.Signal,
            Key = identity,
            Reason = signal.Text,
            RequestedBy = "signal",
            PowerOff = action == SignalAction.EvacuateAndPowerOff,
        };
        StartResult result = evacuations.Start(trigger);
        if (result.Id is not null)
            return;
        // Getting the containers out matters more than the power.
        if (trigger.PowerOff && evacuations.Active is null)
            result = evacuations.Start(trigger with { PowerOff = false });
        if (isNews)
            LogWithoutPowerOff(log, result.Text);
    }

    /// <summary>A node that has been emptied already has nothing to save; above all, it is not powered off again after the repair because its BMC remembers.</summary>
    private async Task<bool> IsEmptyAndClosedAsync(CancellationToken token)
    {
        if (admission.Closed is null || evacuations.Active is not null)
            return false;
        try
        {
            return (await agent.GetContainersAsync(token).ConfigureAwait(false)).Count == 0;
        }
        catch (AgentException)
        {
            return false;
        }
    }

    [LoggerMessage(EventId = 292, Level = LogLevel.Error, Message = "The hardware reports: {Signal}. On-critical-signal is {Action}")]
    private static partial void LogSignal(ILogger logger, string signal, string action);

    [LoggerMessage(EventId = 293, Level = LogLevel.Information, Message = "Nothing to do for \"{Signal}\": this node is empty and closed")]
    private static partial void LogNothingToDo(ILogger logger, string signal);

    [LoggerMessage(EventId = 294, Level = LogLevel.Error, Message = "The evacuation for a hardware signal could not be started as configured: {Reason}")]
    private static partial void LogWithoutPowerOff(ILogger logger, string reason);
}
