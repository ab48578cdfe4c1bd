using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.Fleet;
using Microsoft.AspNetCore.Http;

namespace Evacuator.Fleet.Authority;

/// <summary>
/// What the authority's service shows and whom it believes: made at the start, when its directory has another list, and before its certificate ends; kept in memory alone.
/// While the authority is being replaced, its certificate is of the old one, which every node trusts, also one that has slept so far: so it hears of the new one here.
/// </summary>
internal sealed class OwnCertificate
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromDays(30);

    private readonly Lock _lock = new();
    private readonly string _directory;
    private readonly string _node;
    private readonly TimeProvider _time;
    private State? _state;

    /// <exception cref="FleetSetupException">the directory cannot be used</exception>
    public OwnCertificate(string directory, string node, TimeProvider time)
    {
        (_directory, _node, _time) = (directory, node, time);
        _ = Current();
    }

    public State Current()
    {
        lock (_lock)
        {
            DateTime stamp = File.GetLastWriteTimeUtc(Path.Combine(_directory, SignedRoster.FileName));
            if (_state is { } state && state.Stamp == stamp && _time.GetUtcNow() < state.Until)
                return state;
            using AuthorityDirectory opened = AuthorityDirectory.Open(_directory, create: false, _time);
            // The one before may be in a handshake still; it is collected.
            X509Certificate2 own = opened.Anchor.IssueOwn(new PeerIdentity(_node, FleetRole.Authority), Lifetime);
            return _state = new State(SslStreamCertificateContext.Create(own, additionalCertificates: null, offline: true), opened.Trusted, opened.Roster.Retired, opened.Anchor.CertificatePem,
                new DateTimeOffset(own.NotAfter.ToUniversalTime()) - TimeSpan.FromDays(5), stamp);
        }
    }

    /// <summary>Who asks. The handshake has only seen to it that the caller has the key of the certificate.</summary>
    public Caller Judge(HttpContext context)
    {
        if (context.Connection.ClientCertificate is not { } certificate || PeerIdentity.From(certificate) is not { Role: not FleetRole.Authority } identity)
            return new Caller(null, default, "this needs a certificate of the fleet");
        State state = Current();
        if (state.Trusted.WhyNot(certificate, _time.GetUtcNow()) is not { } reason)
            return new Caller(identity, certificate.NotBefore.ToUniversalTime(), null);
        string retired = state.Retired.LastOrDefault(known => FleetAuthorities.FromPem(known.Certificate, "the list").IssuerOf(certificate).Length > 0) is { } by
            ? $" (it is from the one that was retired at {by.At:u})"
            : "";
        return new Caller(null, default,
            $"the certificate of {identity} {reason}{retired}. {identity.Node} has to join again: \"evacuator fleet token --for {identity.Node}\" on the authority's host prints the command for it, to which --replace is added");
    }

    /// <param name="AnchorPem">the certificate whose fingerprint tokens have</param>
    /// <param name="Until">when it is made anew</param>
    /// <param name="Stamp">of the list that it was made by</param>
    internal sealed record State(SslStreamCertificateContext Tls, FleetAuthorities Trusted, IReadOnlyList<RetiredAuthority> Retired, string AnchorPem, DateTimeOffset Until, DateTime Stamp);
}

/// <param name="Identity">null: nobody in the fleet</param>
/// <param name="NotBefore">of its certificate</param>
/// <param name="Refusal">why it is nobody, for the one who asks; null if it is somebody</param>
internal sealed record Caller(PeerIdentity? Identity, DateTimeOffset NotBefore, string? Refusal);
