using System.Text.Json.Nodes;
using Evacuator.Lab.BmcSimulator.Model;

namespace Evacuator.Lab.BmcSimulator;

/// <summary>
/// The files of one BMC: <c>bmc.pfx</c>, <c>model.json</c>, <c>control.sock</c>, <c>state.json</c> (name, uuid, serial, address,
/// fingerprint) and <c>fingerprint</c>. The last one is written last, when all else is there and the service listens.
/// </summary>
internal sealed class StateDirectory
{
    private readonly string _path;

    public StateDirectory(string path)
    {
        _path = Directory.CreateDirectory(path).FullName;
        // Who waits for the fingerprint of this start must not find that of the last one.
        File.Delete(FingerprintPath);
    }

    public string CertificatePath => Path.Combine(_path, "bmc.pfx");

    public string SocketPath => Path.Combine(_path, "control.sock");

    private string FingerprintPath => Path.Combine(_path, "fingerprint");

    public void Announce(JsonObject state, string fingerprint)
    {
        File.SetUnixFileMode(SocketPath, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Replace(Path.Combine(_path, "state.json"), JsonText.Text(state) + "\n");
        Replace(FingerprintPath, fingerprint + "\n");
    }

    public void RemoveSocket() => File.Delete(SocketPath);

    /// <summary>Nothing listens any more.</summary>
    public void Withdraw()
    {
        File.Delete(FingerprintPath);
        RemoveSocket();
    }

    private static void Replace(string path, string text)
    {
        File.WriteAllText(path + ".new", text);
        File.Move(path + ".new", path, overwrite: true);
    }
}
