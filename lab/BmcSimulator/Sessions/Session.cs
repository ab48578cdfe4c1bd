namespace Evacuator.Lab.BmcSimulator.Sessions;

/// <summary>A login. <see cref="Ended"/> fires when it is deleted, dropped or too old, so that streams opened with it end.</summary>
internal sealed class Session(string id, string token, string user, DateTimeOffset created) 
{
    private readonly CancellationTokenSource _ended = new();

    public string Id => id;

    public string Token => token;

    public string User => user;

    public DateTimeOffset Created { get; } = created;

    public DateTimeOffset LastUsed { get; set; } = created;

    public CancellationToken Ended => _ended.Token;

    public void End() => _ended.Cancel();
}
