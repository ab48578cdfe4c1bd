using System.Security.Cryptography;
using System.Text;
using Evacuator.Fleet;
using Evacuator.Redfish.Health;
using Evacuator.Redfish.Power;
using Evacuator.Redfish.Session;

namespace Evacuator.Power;

/// <summary>Management controllers over Redfish.</summary>
/// <param name="stateDirectory">where open sessions and authorities' certificates are noted</param>
internal sealed class RedfishBmcs(string stateDirectory, TimeProvider time, Random random) : IBmcs
{
    public async Task<BmcOpening> OpenAsync(BmcAccess access, CancellationToken token)
    {
        BmcLogin login = await ConnectAsync(access, token).ConfigureAwait(false);
        return login.Client is { } client
            ? new BmcOpening(new RedfishBmc(client, login.Scope!.Systems[0], access.Uuid.Length > 0 ? access.Uuid : null, new LedMemory(stateDirectory, access.Url, login.Scope.Systems[0]), time), "")
            : new BmcOpening(null, login.Problem);
    }

    /// <summary>
    /// Connects, logs in and finds the host's system. One controller may serve several machines, and powering the wrong one off would be the end of somebody's day:
    /// the id or the UUID has to name it, unless there is only one.
    /// </summary>
    public async Task<BmcLogin> ConnectAsync(BmcAccess access, CancellationToken token)
    {
        if (TryOptions(access, out string problem) is not { } options)
            return new BmcLogin(null, null, problem);
        BmcClient? client = new(options, time, random);
        try
        {
            BmcReply root = await client.ConnectAsync(token).ConfigureAwait(false);
            if (!root.Succeeded)
                return new BmcLogin(null, null, root.Message);
            SystemMatch match = await SystemMatch.FindAsync(client, new HostIdentity(options.SystemUuid, null), options.SystemId, token).ConfigureAwait(false);
            if (match.Scope is not { } scope)
                return new BmcLogin(null, null, $"{access.Url}: {match.Reason}: set [bmc] system or uuid to this host's");
            BmcLogin login = new(client, scope, "");
            client = null;
            return login;
        }
        finally
        {
            if (client is not null)
                await client.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>The options of the Redfish library for this controller; null, with the reason, if they make no sense.</summary>
    public BmcOptions? TryOptions(BmcAccess access, out string problem)
    {
        if (!Uri.TryCreate(access.Url, UriKind.Absolute, out Uri? url))
        {
            problem = $"{access.Url} is not a URL";
            return null;
        }

        BmcOptions options = new()
        {
            Url = url,
            User = access.User,
            Password = _ => ValueTask.FromResult(access.Password),
            Fingerprint = access.Fingerprint.Length > 0 ? access.Fingerprint : null,
            CaFile = access.CaPem.Length > 0 ? AuthorityFile(access.CaPem) : null,
            SystemId = access.System.Length > 0 ? access.System : null,
            SystemUuid = access.Uuid.Length > 0 ? access.Uuid : null,
            // A session that a crash leaves open takes one of few places at the BMC; the next start deletes it.
            StateFolder = stateDirectory,
        };
        problem = string.Join("; ", options.Problems());
        return problem.Length == 0 ? options : null;
    }

    private string AuthorityFile(string pem)
    {
        string path = Path.Combine(stateDirectory, $"bmc-ca-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(pem)))[..16]}.pem");
        if (!File.Exists(path))
            Common.Hosting.AtomicFile.Write(path, pem, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return path;
    }

    private sealed class RedfishBmc(BmcClient client, string system, string? uuid, LedMemory before, TimeProvider time) : IBmc
    {
        private readonly PowerControl _power = new(client, system, uuid, time);

        public async Task<PowerLook> ReadPowerAsync(CancellationToken token)
        {
            PowerReading reading = await _power.ReadPowerAsync(token).ConfigureAwait(false);
            return new PowerLook(reading.State.ToString(), reading.Message);
        }

        public async Task<OffLook> VerifyOffAsync(TimeSpan interval, TimeSpan timeout, CancellationToken token)
        {
            OffVerdict verdict = await _power.VerifyOffAsync(2, interval, timeout, token).ConfigureAwait(false);
            return new OffLook(verdict.IsOff, verdict.Last.ToString(), verdict.Message,
                verdict.IsOff ? [.. verdict.Evidence.Where(read => read is { Problem: null, Value: not null }).Select(read => new PowerSight(read.Time, read.Uri, read.Value!))] : [],
                client.PresentedFingerprint ?? "");
        }

        public async Task<string> ForceOffAsync(CancellationToken token)
        {
            PowerActionResult result = await _power.ForceOffAsync(token).ConfigureAwait(false);
            return $"{result.Outcome}: {result.Message}";
        }

        public async Task<string> SetLedAsync(bool lit, CancellationToken token)
        {
            LocatorLed led = new(client, system, time);
            LedResult result;
            if (lit)
            {
                result = await led.SetAsync(true, token).ConfigureAwait(false);
                if (result is { Error: BmcError.None, Previous: { } previous })
                    before.Remember(previous);
            }
            else
            {
                result = before.Recall() is { } was ? await led.RestoreAsync(was, token).ConfigureAwait(false) : await led.SetAsync(false, token).ConfigureAwait(false);
                // What was there before may be gone, as after another firmware: then off is off.
                if (result.Error is BmcError.NotFound or BmcError.Rejected or BmcError.NotSupported)
                    result = await led.SetAsync(false, token).ConfigureAwait(false);
                if (result.Error == BmcError.None)
                    before.Forget();
            }

            return result switch
            {
                { Confirmed: true, Now.IsLit: true } when !lit => "on, as it was before: \"off\" once more switches it off",
                { Confirmed: true } => lit ? "on" : "off",
                { Error: BmcError.None } => $"switched {(lit ? "on" : "off")}, not confirmed: {result.Message}",
                _ => $"not switched: {result.Message}",
            };
        }

        public ValueTask DisposeAsync() => client.DisposeAsync();
    }
}

/// <param name="Client">null when it could not be opened; the caller disposes it</param>
/// <param name="Scope">the host's system and what belongs to it</param>
/// <param name="Problem">why it could not be opened; empty when it was</param>
internal sealed record BmcLogin(BmcClient? Client, HealthScope? Scope, string Problem);
