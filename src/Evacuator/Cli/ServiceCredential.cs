using System.ComponentModel;
using System.Diagnostics;
using Evacuator.Common.Configuration;

namespace Evacuator.Cli;

/// <summary>
/// The BMC's password where systemd would take it from for the service (ImportCredential=): systemd hands it to the service only, so a check by hand looks at its
/// source.
/// </summary>
/// <param name="root">"" outside of tests</param>
internal sealed class ServiceCredential(string root = "")
{
    private const string Name = Secrets.BmcPasswordCredential;

    private static readonly string[] Stores = ["/etc/credstore", "/run/credstore", "/usr/local/lib/credstore", "/usr/lib/credstore"];

    /// <summary>Reads it as the service would get it; null with a mistake that names the file that is really used.</summary>
    public async Task<Checked<string>> ReadAsync(CancellationToken token)
    {
        foreach (string store in Stores)
        {
            string plain = $"{root}{store}/{Name}", encrypted = $"{root}{store}.encrypted/{Name}";
            if (WhyHidden($"{root}{store}") is { } hidden)
                return Hidden(plain, hidden);
            if (File.Exists(plain))
                return await PlainAsync(plain, token).ConfigureAwait(false);
            if (WhyHidden($"{root}{store}.encrypted") is { } hiddenToo)
                return Hidden(encrypted, hiddenToo);
            if (File.Exists(encrypted))
                return await DecryptAsync(encrypted, token).ConfigureAwait(false);
        }

        return Wrong($"{root}{Stores[0]}/{Name}", "is missing: write the BMC's password into it (mode 0600), or set [bmc] password-file");
    }

    /// <summary>A store that may not be looked into is not an empty one.</summary>
    private static string? WhyHidden(string directory)
    {
        try
        {
            if (Directory.Exists(directory))
                _ = Directory.EnumerateFileSystemEntries(directory).FirstOrDefault();
            return null;
        }
        catch (UnauthorizedAccessException)
        {
            return "only root can look whether the BMC's password is there: run this as root";
        }
    }

    private static async Task<Checked<string>> PlainAsync(string path, CancellationToken token)
    {
        try
        {
            return Password(path, await File.ReadAllTextAsync(path, token).ConfigureAwait(false));
        }
        catch (UnauthorizedAccessException e)
        {
            return Hidden(path, $"cannot be read: {e.Message} (only root can check it)");
        }
        catch (IOException e)
        {
            return Wrong(path, $"cannot be read: {e.Message}");
        }
    }

    private static async Task<Checked<string>> DecryptAsync(string path, CancellationToken token)
    {
        try
        {
            using Process decrypt = Process.Start(new ProcessStartInfo("systemd-creds", ["decrypt", $"--name={Name}", path, "-"])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            Task<string> error = decrypt.StandardError.ReadToEndAsync(token);
            string text = await decrypt.StandardOutput.ReadToEndAsync(token).ConfigureAwait(false);
            await decrypt.WaitForExitAsync(token).ConfigureAwait(false);
            return decrypt.ExitCode == 0
                ? Password(path, text)
                : Wrong(path, $"systemd cannot decrypt it: {(await error.ConfigureAwait(false)).Trim()} (as root: \"systemd-creds encrypt --name={Name} - {path}\" writes it anew)");
        }
        catch (Win32Exception e)
        {
            return Wrong(path, $"is encrypted, and systemd-creds, which would decrypt it, cannot be run: {e.Message}");
        }
    }

    private static Checked<string> Password(string path, string text)
    {
        string password = text.TrimEnd('\r', '\n');
        return password.Length > 0 ? new Checked<string>(password) : Wrong(path, "is empty: write the BMC's password into it");
    }

    private static Checked<string> Hidden(string path, string text) => new([new ConfigurationMistake(path, 0, text) { NotAllowed = true }]);

    private static Checked<string> Wrong(string path, string text) => new([new ConfigurationMistake(path, 0, text)]);
}
