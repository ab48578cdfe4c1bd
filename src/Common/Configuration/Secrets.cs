namespace Evacuator.Common.Configuration;

/// <summary>Secrets that do not stand in the configuration itself.</summary>
public static class Secrets
{
    /// <summary>Name of the systemd credential; the unit has ImportCredential=evacuator.*.</summary>
    public const string BmcPasswordCredential = "evacuator.bmc-password";

    private const int MaximumLength = 4096;

    private const UnixFileMode Others = UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.GroupWrite;

    /// <summary>
    /// The BMC account's password: from [bmc] password-file if that is set, else from the credential that systemd passed. "" if there is no BMC. Line
    /// ends at the end of the file do not belong to it.
    /// </summary>
    public static Checked<string> BmcPassword(EvacuatorOptions options) =>
        BmcPassword(options, Environment.GetEnvironmentVariable("CREDENTIALS_DIRECTORY"));

    internal static Checked<string> BmcPassword(EvacuatorOptions options, string? credentialsDirectory)
    {
        if (options.Bmc.Url.Length == 0)
            return new Checked<string>("");
        if (options.Bmc.PasswordFile.Length > 0)
            return Read(options.Bmc.PasswordFile, checkMode: true, "[bmc] password-file does not exist");
        return credentialsDirectory is null
            ? Wrong("/etc/credstore/" + BmcPasswordCredential, "systemd passed no credential: create this file (mode 0600) or set [bmc] password-file")
            // systemd puts credentials on a directory of its own for this service; their modes are its affair.
            : Read(Path.Combine(credentialsDirectory, BmcPasswordCredential), checkMode: false,
                $"the BMC's password is missing: write it to /etc/credstore/{BmcPasswordCredential} (mode 0600), or set [bmc] password-file");
    }

    private static Checked<string> Read(string path, bool checkMode, string ifMissing)
    {
        try
        {
            FileInfo file = new(path);
            if (!file.Exists)
                return Wrong(path, ifMissing);
            if (checkMode && (file.UnixFileMode & Others) != 0)
                return Wrong(path, $"others may read or change this secret: chown root:evacuator {path}; chmod 0640 {path}");
            if (file.Length > MaximumLength)
                return Wrong(path, $"is longer than {MaximumLength} bytes: not a password");
            string text = File.ReadAllText(path).TrimEnd('\r', '\n');
            if (text.Length == 0)
                return Wrong(path, "is empty");
            return text.Any(char.IsControl) ? Wrong(path, "holds more than one line or control characters: write the password alone") : new Checked<string>(text);
        }
        catch (UnauthorizedAccessException)
        {
            return new([new ConfigurationMistake(path, 0, $"user {Environment.UserName} may not read it: if the service may not either, chown root:evacuator {path}; chmod 0640 {path}") { NotAllowed = true }]);
        }
        catch (IOException e)
        {
            return Wrong(path, $"cannot be read: {e.Message}");
        }
    }

    private static Checked<string> Wrong(string path, string text) => new([new ConfigurationMistake(path, 0, text)]);
}
