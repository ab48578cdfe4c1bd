using Evacuator.Lab.BmcSimulator;
using Evacuator.Lab.BmcSimulator.Cli;
using Evacuator.Lab.BmcSimulator.Faults;
using Microsoft.Extensions.Logging;

if (CommandLine.Parse(args, out IReadOnlyList<string> mistakes) is not { } commandLine)
{
    Console.Error.WriteLine(string.Join('\n', mistakes.Append(CommandLine.Usage)));
    return 2;
}

IReadOnlyList<Fault> faults = commandLine.FaultsFile is { } file ? Fault.Parse(File.ReadAllBytes(file)) : [];
await using BmcSimulatorHost host = await BmcSimulatorHost.StartAsync(
    commandLine.Settings, logging => logging.AddSimpleConsole(console => console.SingleLine = true).SetMinimumLevel(LogLevel.Warning), CancellationToken.None);
foreach (Fault fault in faults)
{
    host.AddFault(fault);
}

Console.WriteLine($"{host.Identity.Name}: {host.BaseAddress} {host.Fingerprint}");
await host.WaitForShutdownAsync();
return 0;
