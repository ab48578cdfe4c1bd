using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Fleet.Membership;

namespace Evacuator.Fleet.Etcd;

/// <summary>Whether etcd and the nodes will believe each other after the next step of a replacement of the fleet's authority; tried, since nobody can see it in etcd's files.</summary>
internal static class EtcdTrial
{
    public const string Name = "etcd";

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);

    /// <param name="trusted">by whom its certificate may be signed, unless [fleet] etcd-ca says otherwise</param>
    /// <param name="own">of the new authority: what nodes will show, unless [fleet] etcd-certificate says otherwise</param>
    /// <returns>one for each member that does not take part; none where etcd has nothing to do with the fleet's authority</returns>
    public static async Task<IReadOnlyList<AuthorityObstacle>> RunAsync(FleetOptions fleet, FleetAuthorities trusted, X509Certificate2 own, TimeProvider time, CancellationToken token)
    {
        if (fleet.EtcdCa.Length > 0 && fleet.EtcdCertificate.Length > 0)
            return [];
        List<AuthorityObstacle> obstacles = [];
        X509Certificate2Collection authorities = [.. trusted.All];
        try
        {
            if (fleet.EtcdCa.Length > 0)
            {
                authorities = [];
                authorities.ImportFromPemFile(fleet.EtcdCa);
            }

            using X509Certificate2? other = fleet.EtcdCertificate.Length > 0 ? X509Certificate2.CreateFromPemFile(fleet.EtcdCertificate, fleet.EtcdKey) : null;
            using EtcdTls tls = EtcdTls.Of(authorities, other ?? own);
            foreach (string member in fleet.EtcdEndpoints)
            {
                using EtcdClient client = new([member], tls.Handler(), Limit, time);
                try
                {
                    await client.RangeAsync(new EtcdRangeRequest { Key = "trial"u8.ToArray(), Limit = 1 }, token).ConfigureAwait(false);
                }
                catch (EtcdException e)
                {
                    obstacles.Add(new AuthorityObstacle(Name, AuthorityHold.DoesNotTrust,
                        $"{member} and nodes with certificates of the new authority would not believe each other ({e.Message}): its --trusted-ca-file needs what is in {fleet.TlsDirectory}/ca.crt, and before the old one is retired its own certificate has to be of the new one; then restart it"));
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            obstacles.Add(new AuthorityObstacle(Name, AuthorityHold.Unreachable, $"it cannot be tried: {e.Message}"));
        }

        return obstacles;
    }
}
