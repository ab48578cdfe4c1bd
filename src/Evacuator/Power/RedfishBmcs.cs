using System.Security.Cryptography;
using System.Text;
using Evacuator.Fleet;
using Evacuator.Redfish.Power;
using Evacuator.Redfish.Resources;
using Evacuator.Redfish.Session;

namespace Evacuator.Power;

/// <summary>Management controllers over Redfish.</summary>
/// <param name="stateDirectory">where open sessions and authorities' certificates are noted</param>
internal sealed class RedfishBmcs(string stateDirectory, TimeProvider time, Random random) : IBmcs
{
    public async Task<BmcOpening> OpenAsync(BmcAccess access, CancellationToken token)
    {
        if (TryOptions(access, out string problem) is not { } options)
            return new BmcOpening(null, problem);
        BmcClient client = new(options, time, random);
        try
        {
            BmcReply root = await client.ConnectAsync(token).ConfigureAwait(false);
            if (!root.Succeeded)
                return new BmcOpening(null, root.Message);
            (string? system, string why) = await FindSystemAsync(client, root.Resource!, access, token).ConfigureAwait(false);
            if (system is null)
                return new BmcOpening(null, why);
            RedfishBmc bmc = new(client, system, access.Uuid.Length > 0 ? access.Uuid : null, time);
            client = null!;
            return new BmcOpening(bmc, "");
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

    /// <summary>
    /// One controller may serve several machines, and powering the wrong one off would be the end of somebody's day: the id or the UUID has to name it, unless
    /// there is only one that has a power state.
    /// </summary>
    private static async Task<(string? Uri, string Why)> FindSystemAsync(BmcClient client, RedfishResource root, BmcAccess access, CancellationToken token)
    {
        if (root.Link("Systems") is not { } systems)
            return (null, $"{access.Url} shows no systems");
        CollectionResult collection = await CollectionReader.ReadAsync(client, systems, null, token).ConfigureAwait(false);
        if (collection.Outcome != ReadOutcome.Found)
            return (null, $"the systems of {access.Url} cannot be read: {string.Join("; ", collection.Warnings)}");
        List<RedfishResource> candidates = [.. collection.Members.Where(member => member.Has("PowerState"))];
        if (access.System.Length > 0)
            candidates = [.. candidates.Where(member => string.Equals(member.Id, access.System, StringComparison.OrdinalIgnoreCase))];
        else if (access.Uuid.Length > 0 && candidates.Count > 1)
            candidates = [.. candidates.Where(member => string.Equals(member.Text("UUID"), access.Uuid, StringComparison.OrdinalIgnoreCase))];
        return candidates.Count == 1
            ? (candidates[0].Uri, "")
            : (null, $"{access.Url} has {candidates.Count} systems that could be this host ({string.Join(", ", collection.Members.Select(member => member.Id))}): set [bmc] system to the right one");
    }

    private string AuthorityFile(string pem)
    {
        string path = Path.Combine(stateDirectory, $"bmc-ca-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(pem)))[..16]}.pem");
        if (!File.Exists(path))
            Common.Hosting.AtomicFile.Write(path, pem, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return path;
    }

    private sealed class RedfishBmc(BmcClient client, string system, string? uuid, TimeProvider time) : IBmc
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
            return new OffLook(verdict.IsOff, verdict.Last.ToString(), verdict.Message);
        }

        public async Task<string> ForceOffAsync(CancellationToken token)
        {
            PowerActionResult result = await _power.ForceOffAsync(token).ConfigureAwait(false);
            return $"{result.Outcome}: {result.Message}";
        }

        public async Task<string> SetLedAsync(bool lit, CancellationToken token)
        {
            LedResult result = await new LocatorLed(client, system, time).SetAsync(lit, token).ConfigureAwait(false);
            return result switch
            {
                { Confirmed: true } => lit ? "on" : "off",
                { Error: BmcError.None } => $"switched {(lit ? "on" : "off")}, not confirmed: {result.Message}",
                _ => $"not switched: {result.Message}",
            };
        }

        public ValueTask DisposeAsync() => client.DisposeAsync();
    }
}
