using System.Text.Json;
using Evacuator.Lab.BmcSimulator;
using Evacuator.Lab.BmcSimulator.Cli;
using Evacuator.Lab.BmcSimulator.Faults;
using Microsoft.Extensions.Logging;

if (CommandLine.Parse(args, out IReadOnlyList<string> mistakes) is not { } commandLine)
{
    Console.Error.WriteLine(string.Join('\n', mistakes.Append(CommandLine.Usage)));
    return 2;
}

try
{
    IReadOnlyList<Fault> faults = commandLine.FaultsFile is { } file ? Fault.Parse(File.ReadAllBytes(file)) : [];
    await using BmcSimulatorHost host = await BmcSimulatorHost.StartAsync(
        commandLine.Settings, logging => logging.AddSimpleConsole(console => console.SingleLine = true).SetMinimumLevel(LogLevel.Warning), CancellationToken.None);
    faults.ToList().ForEach(host.AddFault);
    Console.WriteLine($"{host.Identity.Name}: {host.BaseAddress} {host.Fingerprint}");
    await host.WaitForShutdownAsync();
    return 0;
}
catch (Exception error) when (error is IOException or UnauthorizedAccessException or InvalidDataException)
{
    Console.Error.WriteLine($"{commandLine.Settings.Name}: {error.Message}");
    return 1;
}
catch (JsonException error)
{
    Console.Error.WriteLine($"{commandLine.FaultsFile}: {error.Message}");
    return 1;
}
