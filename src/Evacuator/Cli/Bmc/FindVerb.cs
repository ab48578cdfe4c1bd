using System.CommandLine;
using Evacuator.Common.Hosting;
using Evacuator.Redfish.Host;

namespace Evacuator.Cli.Bmc;

internal static class FindVerb
{
    public static Command Create() => Verb.Create("find", "Shows where this host's firmware says that its own BMC is (SMBIOS type 42). Needs root; asks nothing of the BMC.", (context, _) =>
    {
        (IReadOnlyList<HostInterface> interfaces, string problem) = HostInterfaceTable.Read();
        if (interfaces.Count == 0)
            throw new CliException(Accounts.IsRoot || !File.Exists(HostInterfaceTable.KernelFile) ? CliExit.Failed : CliExit.NoPermission, problem.Length > 0 ? problem : "the firmware names no Redfish interface to its BMC: give the BMC's address in the management network as [bmc] url");
        foreach (HostInterface each in interfaces)
        {
            context.Out.WriteLine($"{each.Url?.ToString() ?? "(no address: it is handed out by DHCP or chosen by the host)"}  by {each.Device}");
            if (each.HostAddress is { } own)
                context.Out.WriteLine($"  this host is to be {own} there");
        }

        context.Out.WriteLine();
        context.Out.WriteLine("Set [bmc] url to the address if this host reaches it. A peer that watches the power goes by the management network: it needs an address that it reaches too.");
        return Task.FromResult(CliExit.Ok);
    });
}
