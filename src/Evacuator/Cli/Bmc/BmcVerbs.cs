using System.CommandLine;
using Evacuator.Api;
using Evacuator.Common.Configuration;
using Evacuator.Redfish.Session;

namespace Evacuator.Cli.Bmc;

internal static class BmcVerbs
{
    public static Command Create() => new("bmc", "Asks this host's management controller, or another's.") { FindVerb.Create(), CreateTrust(), ProbeVerb.Create(), WatchVerb.Create(), CreateLed(), PowerVerb.Create() };

    private static Command CreateTrust()
    {
        Option<string?> url = new("--url") { Description = "Instead of the configured one.", HelpName = "URL" };
        return Verb.Create("trust", "Shows the certificate that the BMC presents, to be compared and put into [bmc] fingerprint. Sends no password.", async (context, token) =>
        {
            string address = context.Get(url) ?? ConfiguredUrl(context);
            if (!Uri.TryCreate(address, UriKind.Absolute, out Uri? uri) || uri.Scheme != Uri.UriSchemeHttps)
                throw new CliException(CliExit.Usage, $"\"{address}\" is not an https URL such as https://10.0.0.101: only with TLS is there a certificate to trust");
            (BmcCertificate? certificate, _, string message) = await BmcCertificate.FetchAsync(uri, TimeSpan.FromSeconds(30), TimeProvider.System, token).ConfigureAwait(false);
            if (certificate is null)
                throw new CliException(CliExit.Failed, message);
            context.Out.WriteLine($"subject      {certificate.Subject}");
            context.Out.WriteLine($"issuer       {certificate.Issuer}");
            context.Out.WriteLine($"valid        {certificate.NotBefore:u} to {certificate.NotAfter:u}");
            context.Out.WriteLine();
            context.Out.WriteLine("Compare it with the BMC's own page or console. If it is the same, write into /etc/evacuator/evacuator.conf.d/bmc.conf:");
            context.Out.WriteLine("[bmc]");
            context.Out.WriteLine($"fingerprint = {certificate.Fingerprint}");
            return CliExit.Ok;
        }, url);
    }

    private static Command CreateLed()
    {
        Argument<string> state = new("STATE") { Description = "on or off." };
        state.AcceptOnlyFromAmong("on", "off");
        return Verb.Create("led", "Switches the locator LED.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            LedReply reply = await client.SendAsync<LedReply>(HttpMethod.Put, ApiRoutes.Led, new LedRequest(context.Get(state) == "on"), token).ConfigureAwait(false);
            context.Out.WriteLine($"locator LED: {reply.Outcome}");
            return CliExit.Ok;
        }, state);
    }

    private static string ConfiguredUrl(VerbContext context) => ConfigurationLoader.Load(context.ConfigurationFile) switch
    {
        { Options.Bmc.Url: { Length: > 0 } url } => url,
        { Mistakes.Count: > 0 } wrong => throw new CliException(CliExit.Of(wrong.Mistakes), string.Join("\n", wrong.Mistakes)),
        _ => throw new CliException(CliExit.Configuration, "no [bmc] url is configured: give --url"),
    };
}
