using Evacuator.Common.Configuration;
using Evacuator.Fleet;

namespace Evacuator.Power;

/// <summary>How to reach this host's own management controller.</summary>
/// <param name="password">read again at each use, so that a changed file needs no restart</param>
internal sealed class OwnBmc(BmcSettings settings, Func<Checked<string>> password)
{
    public bool Exists => settings.Url.Length > 0;

    public string Url => settings.Url;

    public BmcSettings Settings => settings;

    /// <summary>Null, with the reason, if there is none or its secrets cannot be read.</summary>
    public BmcAccess? Access(out string problem)
    {
        problem = "";
        if (!Exists)
        {
            problem = "this node has no BMC: set [bmc] url";
            return null;
        }

        Checked<string> secret = password();
        if (secret.Value is not { } text)
        {
            problem = string.Join("; ", secret.Mistakes);
            return null;
        }

        try
        {
            return new BmcAccess
            {
                Url = settings.Url,
                User = settings.User,
                Password = text,
                Fingerprint = settings.Fingerprint,
                CaPem = settings.CaFile.Length > 0 ? File.ReadAllText(settings.CaFile) : "",
                System = settings.System,
                Uuid = settings.Uuid,
            };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            problem = $"[bmc] ca-file cannot be read: {e.Message}";
            return null;
        }
    }
}
