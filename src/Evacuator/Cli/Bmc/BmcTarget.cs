using System.CommandLine;
using Evacuator.Common.Configuration;
using Evacuator.Redfish.Session;

namespace Evacuator.Cli.Bmc;

/// <summary>
/// Which management controller a verb speaks to by itself: the one that --url names, else the configured one. A password goes only over TLS to a certificate that is
/// pinned (or signed by the configured authority), or to this host's own loopback.
/// </summary>
/// <param name="Options">without problems</param>
/// <param name="Warnings">what was decided for safety's sake</param>
internal sealed record BmcTarget(BmcOptions Options, IReadOnlyList<string> Warnings)
{
    private const int MaximumPassword = 4096;
    private const UnixFileMode Others = UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.GroupWrite;

    /// <summary>The options of all verbs that do this.</summary>
    public sealed class Choice
    {
        public Option<string?> Url { get; } = new("--url") { Description = "The BMC, such as https://10.0.0.101; without it, the configured one.", HelpName = "URL" };

        public Option<string?> User { get; } = new("--user") { Description = "Account to log in with; without it, only what is open to everybody is read.", HelpName = "NAME" };

        public Option<string?> PasswordFile { get; } = new("--password-file") { Description = "File that holds this account's password and nothing else.", HelpName = "FILE" };

        public Option<string?> Fingerprint { get; } = new("--fingerprint") { Description = "SHA-256 of the BMC's certificate (\"evacuator bmc trust\").", HelpName = "HEX" };

        public Option<string?> System { get; } = new("--system") { Description = "Id of the machine, where several are behind the BMC.", HelpName = "ID" };

        public Option<string?> Uuid { get; } = new("--uuid") { Description = "UUID of the machine, as its product_uuid has it.", HelpName = "UUID" };

        public Symbol[] With(params Symbol[] others) => [Url, User, PasswordFile, Fingerprint, System, Uuid, .. others];
    }

    /// <exception cref="CliException">wrong use, a file that cannot be read, or no certificate to look at</exception>
    public static async Task<BmcTarget> FromAsync(VerbContext context, Choice choice, TimeProvider time, CancellationToken token)
    {
        BmcOptions options = context.Get(choice.Url) is { } given ? Given(context, choice, given) : await ConfiguredAsync(context, choice, token).ConfigureAwait(false);
        if (options.Problems() is { Count: > 0 } problems)
            throw new CliException(CliExit.Usage, string.Join("\n", problems));
        return await SafelyAsync(options, time, token).ConfigureAwait(false);
    }

    /// <summary>Decides how far a certificate that nobody vouches for, or no certificate at all, is gone along with: for reading, never for a password.</summary>
    public static async Task<BmcTarget> SafelyAsync(BmcOptions options, TimeProvider time, CancellationToken token)
    {
        List<string> warnings = [];
        if (options.Url.Scheme == Uri.UriSchemeHttp)
        {
            if (options.Url.IsLoopback)
                return new BmcTarget(options, warnings);
            warnings.Add($"{options.Url} is not encrypted: whoever is between can read and change everything");
            if (options.User is not null)
                warnings.Add($"the password of {options.User} is not sent there: read without logging in");
            return new BmcTarget(options with { AllowPlainHttp = true, User = null, Password = null }, warnings);
        }

        if (options.Fingerprint is not null || options.CaFile is not null)
            return new BmcTarget(options, warnings);
        (BmcCertificate? certificate, _, string message) = await BmcCertificate.FetchAsync(options.Url, TimeSpan.FromSeconds(30), time, token).ConfigureAwait(false);
        if (certificate is null)
            throw new CliException(CliExit.Failed, message);
        warnings.Add($"nobody vouches for the certificate of {options.Url.Authority} ({certificate.Subject}): compare it with the BMC's own page and give --fingerprint {certificate.Fingerprint}");
        if (options.User is not null && !options.Url.IsLoopback)
        {
            warnings.Add($"the password of {options.User} is not sent before that: read without logging in");
            options = options with { User = null, Password = null };
        }

        return new BmcTarget(options with { Fingerprint = certificate.Fingerprint }, warnings);
    }

    private static BmcOptions Given(VerbContext context, Choice choice, string url)
    {
        // An address alone means TLS.
        if (!Uri.TryCreate(url.Contains("://", StringComparison.Ordinal) ? url : $"https://{url}", UriKind.Absolute, out Uri? uri))
            throw new CliException(CliExit.Usage, $"\"{url}\" is not a URL such as https://10.0.0.101");
        return Override(context, choice, new BmcOptions { Url = uri });
    }

    private static async Task<BmcOptions> ConfiguredAsync(VerbContext context, Choice choice, CancellationToken token)
    {
        ConfigurationResult result = ConfigurationLoader.Load(context.ConfigurationFile);
        if (result.Options is not { Bmc.Url.Length: > 0 } options)
        {
            throw new CliException(result.Mistakes.Count > 0 ? CliExit.Of(result.Mistakes) : CliExit.Configuration, result.Mistakes.Count > 0
                ? string.Join("\n", result.Mistakes)
                : "no [bmc] url is configured: give --url");
        }

        BmcSettings bmc = options.Bmc;
        if (!Uri.TryCreate(bmc.Url, UriKind.Absolute, out Uri? uri))
            throw new CliException(CliExit.Configuration, $"[bmc] url: {bmc.Url} is not a URL");
        BmcOptions configured = Override(context, choice, new BmcOptions
        {
            Url = uri,
            Fingerprint = NullIfEmpty(bmc.Fingerprint),
            CaFile = NullIfEmpty(bmc.CaFile),
            SystemId = NullIfEmpty(bmc.System),
            SystemUuid = NullIfEmpty(bmc.Uuid),
        });
        if (configured.User is not null || bmc.User.Length == 0)
            return configured;
        // systemd hands the credential to the service only; by hand, its source is read.
        Checked<string> password = bmc.PasswordFile.Length > 0 ? Secrets.BmcPassword(options) : await new ServiceCredential().ReadAsync(token).ConfigureAwait(false);
        return password.Value is { } text
            ? configured with { User = bmc.User, Password = _ => ValueTask.FromResult(text) }
            : throw new CliException(CliExit.Of(password.Mistakes), string.Join("\n", password.Mistakes));
    }

    private static BmcOptions Override(VerbContext context, Choice choice, BmcOptions options)
    {
        string? user = context.Get(choice.User), file = context.Get(choice.PasswordFile);
        if (user is null != file is null)
            throw new CliException(CliExit.Usage, "--user and --password-file go together");
        return options with
        {
            User = user,
            Password = file is null ? null : PasswordOf(context, file),
            Fingerprint = NullIfEmpty(context.Get(choice.Fingerprint)) ?? options.Fingerprint,
            SystemId = NullIfEmpty(context.Get(choice.System)) ?? options.SystemId,
            SystemUuid = NullIfEmpty(context.Get(choice.Uuid)) ?? options.SystemUuid,
        };
    }

    private static Func<CancellationToken, ValueTask<string>> PasswordOf(VerbContext context, string path)
    {
        try
        {
            FileInfo file = new(path);
            if (file.Exists && file.Length > MaximumPassword)
                throw new CliException(CliExit.Usage, $"{path}: is longer than {MaximumPassword} bytes: not a password");
            string password = File.ReadAllText(path).TrimEnd('\r', '\n');
            if (password.Length == 0)
                throw new CliException(CliExit.Usage, $"{path}: is empty: write the password into it");
            if (file.LinkTarget is null && (file.UnixFileMode & Others) != 0)
                context.Error.WriteLine($"evacuator: {path}: others may read or change this secret: chmod 0600 {path}");
            return _ => ValueTask.FromResult(password);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new CliException(CliExit.NoPermission, $"{path}: {e.Message}", e);
        }
        catch (IOException e)
        {
            throw new CliException(CliExit.Usage, $"{path}: {e.Message}");
        }
    }

    private static string? NullIfEmpty(string? text) => string.IsNullOrWhiteSpace(text) ? null : text;
}
