using System.CommandLine;
using System.CommandLine.Invocation;
using Evacuator.Cli;

ParseResult command = EvacuatorCommand.Create().Parse(args);
// Long enough for logging out of a slow BMC; systemd and a second Ctrl-C have their own ways to end it.
int exitCode = await command.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromSeconds(30) });
return command.Action is ParseErrorAction ? CliExit.Usage : exitCode;
