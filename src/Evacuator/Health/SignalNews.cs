namespace Evacuator.Health;

/// <summary>What the management controller says about this host's health, each time that it was read.</summary>
internal interface ISignalSource
{
    /// <summary>News until cancelled; the first as soon as anything is known, also that nothing can be.</summary>
    IAsyncEnumerable<SignalNews> WatchAsync(CancellationToken token);
}

/// <param name="CanTell">false: the controller cannot be read or heard, so nothing follows from silence</param>
/// <param name="Problem">why not; empty when it can tell</param>
/// <param name="PowerState">as read; null when not read</param>
/// <param name="Open">findings that are open, also those of warning level</param>
internal sealed record SignalNews(bool CanTell, string Problem, string? PowerState, IReadOnlyList<OpenSignal> Open);

/// <summary>A finding that is open.</summary>
/// <param name="Key">the same as long as it is the same finding</param>
/// <param name="Critical">the part has failed or its failure is predicted, as opposed to a warning</param>
/// <param name="Grave">of a kind that containers should not wait for: see <see cref="SignalRules"/></param>
/// <param name="Text">for people: part, place, what is wrong</param>
internal sealed record OpenSignal(string Key, bool Critical, bool Grave, string Text);
