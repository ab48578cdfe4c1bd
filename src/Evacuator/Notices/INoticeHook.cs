namespace Evacuator.Notices;

/// <summary>A place that notices are delivered to. May take its time and may fail: nothing waits for it.</summary>
internal interface INoticeHook
{
    /// <summary>webhook or command.</summary>
    string Name { get; }

    /// <summary>Null when it was taken; else why not.</summary>
    Task<string?> DeliverAsync(Notice notice, CancellationToken token);
}
