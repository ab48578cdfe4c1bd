using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Evacuator.Redfish.Session;

/// <summary>The certificate that a BMC presents, for a person to compare and pin.</summary>
public sealed record BmcCertificate(string Fingerprint, string Subject, string Issuer, DateTimeOffset NotBefore, DateTimeOffset NotAfter)
{
    /// <summary>Shakes hands with the BMC, sends no request and no credential, and returns what it presented.</summary>
    public static async Task<(BmcCertificate? Certificate, BmcError Error, string Message)> FetchAsync(Uri url, TimeSpan timeout, TimeProvider time, CancellationToken cancel)
    {
        int port = url.Scheme == Uri.UriSchemeHttps || !url.IsDefaultPort ? url.Port : 443;
        // Links: caller, time limit.
        using CancellationTokenSource limit = new(timeout, time);
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(cancel, limit.Token);
        BmcCertificate? seen = null;
        try
        {
            using TcpClient tcp = new();
            await tcp.ConnectAsync(url.IdnHost, port, linked.Token).ConfigureAwait(false);
            await using SslStream tls = new(tcp.GetStream());
            await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = url.IdnHost,
                // Nothing is sent over this connection: it only shows what is presented.
                RemoteCertificateValidationCallback = (_, certificate, _, _) =>
                {
                    seen = certificate is X509Certificate2 leaf ? From(leaf) : null;
                    return true;
                },
            }, linked.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or IOException or AuthenticationException && seen is null)
        {
            return (null, e is SocketException ? BmcError.Unreachable : BmcError.TlsFailed, $"{url.IdnHost}:{port} does not shake hands: {e.Message}");
        }
        catch (Exception e) when (e is IOException or AuthenticationException)
        {
            // The BMC went away after it had shown its certificate (it may want a client certificate): what it showed is what was asked for.
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            return (null, BmcError.Timeout, $"{url.IdnHost}:{port} did not shake hands within {timeout.TotalSeconds:0} s");
        }
        return seen is null
            ? (null, BmcError.TlsFailed, $"{url.IdnHost}:{port} presented no certificate")
            : (seen, BmcError.None, "");
    }

    private static BmcCertificate From(X509Certificate2 leaf) =>
        new(Session.Fingerprint.Of(leaf), leaf.Subject, leaf.Issuer, leaf.NotBefore.ToUniversalTime(), leaf.NotAfter.ToUniversalTime());
}
