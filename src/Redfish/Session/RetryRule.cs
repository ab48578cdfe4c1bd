namespace Evacuator.Redfish.Session;

/// <summary>When a request is worth repeating and after how long; numbers in, decision out.</summary>
internal sealed class RetryRule(BmcTimeouts timeouts, Random random)
{
    /// <summary>The wait before the next attempt; null when there is to be none.</summary>
    /// <param name="attempt">Attempts made, 1 or more.</param>
    /// <param name="error">What the last one came to.</param>
    /// <param name="retryAfter">What the BMC asked for.</param>
    /// <param name="elapsed">Since the first attempt began.</param>
    public TimeSpan? Next(int attempt, BmcError error, TimeSpan? retryAfter, TimeSpan elapsed)
    {
        int allowed = error switch
        {
            BmcError.Overloaded or BmcError.ServerFailed or BmcError.Unreachable => timeouts.ReadAttempts,
            // A BMC that let a whole time limit pass is not helped by many more; a torn body is torn once.
            BmcError.Timeout or BmcError.Malformed => Math.Min(2, timeouts.ReadAttempts),
            _ => 1,
        };
        if (attempt >= allowed)
            return null;
        if (retryAfter > timeouts.MaxRetryAfter)
            return null;
        double jitter;
        // The same source may serve several clients, and it is not safe for that by itself.
        lock (random)
            jitter = random.NextDouble();
        // Half fixed, half random: neighbours that lost the same BMC at once do not come back at once.
        TimeSpan wait = timeouts.RetryBase * (1 << Math.Min(attempt - 1, 6)) * (0.5 + jitter / 2);
        if (retryAfter is { } asked)
            wait = asked + timeouts.RetryBase * (jitter / 2);
        return elapsed + wait < timeouts.Read ? wait : null;
    }
}
