using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Evacuator.Common.Fleet;

/// <summary>A key made on the node that will use it, and the request for its certificate: the key itself never leaves the node.</summary>
public sealed class NodeRequest
{
    private NodeRequest(string keyPem, string requestPem) => (KeyPem, RequestPem) = (keyPem, requestPem);

    /// <summary>PKCS#8, PEM.</summary>
    public string KeyPem { get; }

    /// <summary>PKCS#10, PEM; it names the node for whoever reads it, the authority does not believe it.</summary>
    public string RequestPem { get; }

    public static NodeRequest Make(PeerIdentity identity)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new($"CN={identity.Node}, OU={PeerIdentity.Word(identity.Role)}", key, HashAlgorithmName.SHA256);
        return new NodeRequest(key.ExportPkcs8PrivateKeyPem() + "\n", request.CreateSigningRequestPem() + "\n");
    }
}
