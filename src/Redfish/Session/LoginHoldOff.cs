using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;

namespace Evacuator.Redfish.Session;

/// <summary>
/// Remembers refused logins, for all clients of this process: three tries with a wrong password can lock an account, whether one client makes them or three.
/// Keyed by BMC, user and password; holds hashes only.
/// </summary>
internal sealed class LoginHoldOff
{
    private static readonly TimeSpan First = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan Last = TimeSpan.FromHours(1);

    // Timestamps compare only within one clock, so each clock has its own memory.
    private static readonly ConditionalWeakTable<TimeProvider, LoginHoldOff> All = [];

    private readonly TimeProvider _time;
    private readonly ConcurrentDictionary<string, Refusal> _refusals = new();

    private LoginHoldOff(TimeProvider time) => _time = time;

    public static LoginHoldOff For(TimeProvider time) => All.GetValue(time, t => new LoginHoldOff(t));

    public static string KeyOf(Uri url, string user, string password) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{url.Authority}\n{user}\n{password}")));

    /// <summary>The refusal to repeat instead of a login; null when a login may be tried.</summary>
    public LoginResult? Held(string key)
    {
        if (!_refusals.TryGetValue(key, out Refusal? refusal) || _time.GetElapsedTime(refusal.Since) is var waited && waited >= refusal.Length)
            return null;
        return LoginResult.Failed(refusal.Result.Error,
            $"{refusal.Result.Message} (tried {waited.TotalMinutes:0} min ago; not tried again for {(refusal.Length - waited).TotalMinutes:0} min or until the password changes, so that the account is not locked)");
    }

    /// <summary>Notes a refusal; each further one with the same password doubles the wait.</summary>
    public void Note(string key, LoginResult result)
    {
        TimeSpan length = _refusals.TryGetValue(key, out Refusal? before) ? before.Length * 2 : First;
        _refusals[key] = new Refusal(_time.GetTimestamp(), length < Last ? length : Last, result);
    }

    public void Forget(string key) => _refusals.TryRemove(key, out _);

    private sealed record Refusal(long Since, TimeSpan Length, LoginResult Result);
}
