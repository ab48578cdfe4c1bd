using System.CommandLine;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Fleet.Authority;

namespace Evacuator.Cli.Membership;

/// <summary>"evacuator fleet renew": new keys and certificates for this node's two services, from the authority; evacuator-renew.timer runs it every day.</summary>
internal static class RenewVerb
{
    private const string Renewed = ": renewed until ";

    /// <summary>"evacuator fleet status" shows the old one so long, and the old authority cannot be retired.</summary>
    internal static string TakenSoon { get; } = $"the services take what is new within {FleetRefresh.Interval.TotalSeconds:0} s, without a restart; \"evacuator fleet status\" shows when they have";

    public static Command Create()
    {
        Option<bool> ifDue = new("--if-due") { Description = "Only certificates of which a third of their time is left or less, or that are of an authority that is being replaced." };
        return Verb.Create("renew", "As root: gets new certificates for this node from the authority; the services take them without a restart.", (context, token) => FleetVerbs.ReportMistakesAsync(async () =>
        {
            ConfigurationResult configuration = ConfigurationLoader.Load(context.ConfigurationFile);
            if (configuration.Options is not { } options)
                throw new CliException(CliExit.Configuration, string.Join('\n', configuration.Mistakes));
            uint group = FleetSetup.RequireRoot();
            IReadOnlyList<string> done = await RenewAsync(options, context.Get(ifDue), group, TimeProvider.System, token).ConfigureAwait(false);
            foreach (string line in done)
                context.Out.WriteLine(line);
            if (done.Any(line => line.Contains(Renewed, StringComparison.Ordinal)))
                context.Out.WriteLine(TakenSoon);
            return CliExit.Ok;
        }), ifDue);
    }

    /// <returns>what was done for each service, in words</returns>
    /// <exception cref="FleetSetupException">it could not be done; what was there is there still</exception>
    internal static async Task<IReadOnlyList<string>> RenewAsync(EvacuatorOptions options, bool ifDue, uint? group, TimeProvider time, CancellationToken token)
    {
        Checked<FleetMembers> members = FleetMembers.Load(options);
        if (members.Value is not { } known)
            throw new FleetSetupException(string.Join('\n', members.Mistakes));
        string at = known.Roster?.Roster.Authority ?? "";
        FleetAuthorities trusted = known.Roster?.Authorities ?? FleetAuthorities.FromFile(FleetMembers.AuthorityPath(options));
        List<string> done = [];
        foreach (FleetRole role in new[] { FleetRole.Brain, FleetRole.Agent })
        {
            List<ConfigurationMistake> mistakes = [];
            FleetFiles files = new(options.Fleet.TlsDirectory, role);
            if (files.ReadPair(mistakes) is not { } pair)
                throw new FleetSetupException(string.Join('\n', mistakes));
            using X509Certificate2 present = pair.Certificate;
            PeerIdentity identity = new(options.Node.Name, role);
            DateTimeOffset from = new(present.NotBefore.ToUniversalTime()), until = new(present.NotAfter.ToUniversalTime());
            DateTimeOffset now = time.GetUtcNow();
            bool isReplaced = known.Roster?.Roster.NewestIssues is not null && trusted.IssuerOf(present) != trusted.Fingerprints[0];
            if (ifDue && !isReplaced && until - now > (until - from) / 3)
            {
                done.Add($"{identity}: good until {until:u}, not due");
                continue;
            }

            if (at.Length == 0)
            {
                // A fleet whose authority is offline renews nothing by itself: the status warns in time.
                if (ifDue && until - now > TimeSpan.FromDays(30))
                {
                    done.Add($"{identity}: good until {until:u}; the authority is offline, renew it with \"evacuator fleet init --output\" and a new join");
                    continue;
                }

                throw new FleetSetupException($"the certificate of {identity} ends at {until:u} and the fleet's authority is offline: \"evacuator fleet init --output DIR\" there, then join with the new bundle");
            }

            if (now > until)
                throw new FleetSetupException($"the certificate of {identity} expired at {until:u}: an expired one is not renewed, join again with a token made with --for {identity.Node}");
            NodeRequest request = NodeRequest.Make(identity);
            using AuthorityClient client = new(AuthorityClient.ParseAddress(at), trusted, present, time);
            RenewReply reply = await client.RenewAsync(request.RequestPem, token).ConfigureAwait(false);
            using X509Certificate2 renewed = X509Certificate2.CreateFromPem(reply.Certificate, request.KeyPem);
            // One of an authority that this node's services do not know would keep them from starting.
            if (PeerIdentity.From(renewed) == identity && trusted.IssuerOf(renewed, now) is null && IsNewer(reply.Roster, known.Roster, trusted))
                throw new FleetSetupException($"the fleet's authority is being replaced, and this node has not heard of the new one: its services take it within a minute while they run (systemctl status evacuator evacuator-agent); then again");
            if (PeerIdentity.From(renewed) != identity || trusted.IssuerOf(renewed, now) is not { } issuer)
                throw new FleetSetupException($"{at} answered with a certificate that is not for {identity}");
            files.Replace(new IssuedCertificate(reply.Certificate, request.KeyPem), group);
            done.Add($"{identity}{Renewed}{renewed.NotAfter.ToUniversalTime():u}{(trusted.All.Count > 1 ? $", by the {(issuer == trusted.Newest ? "new" : "old")} authority {FleetAuthorities.FingerprintOf(issuer)[..16]}" : "")}");
        }

        return done;
    }

    private static bool IsNewer(string text, SignedRoster? present, FleetAuthorities trusted)
    {
        try
        {
            return SignedRoster.Parse(text, trusted, "its list").Roster.Number > (present?.Roster.Number ?? -1);
        }
        catch (FleetSetupException)
        {
            return false;
        }
    }
}
