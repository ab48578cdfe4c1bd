using Evacuator.Agent;

namespace Evacuator.Evacuation;

/// <summary>Asks the own agent as long as it is absent, and says so meanwhile.</summary>
internal static class AgentPatience
{
    /// <exception cref="AgentException">it answered that it will not</exception>
    public static async Task<T> AskAsync<T>(
        Func<CancellationToken, Task<T>> ask, Action<Waiting?> say, string next, TimeSpan retry, TimeProvider time, CancellationToken token)
    {
        bool waited = false;
        while (true)
        {
            try
            {
                T answer = await ask(token).ConfigureAwait(false);
                if (waited)
                    say(null);
                return answer;
            }
            catch (AgentException e) when (e.IsAbsent)
            {
                waited = true;
                say(new Waiting($"evacuator-agent ({e.Message})", time.GetUtcNow(), null, $"{next}. See \"systemctl status evacuator-agent\""));
            }

            await Task.Delay(retry, time, token).ConfigureAwait(false);
        }
    }
}
