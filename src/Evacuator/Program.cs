using System.CommandLine;
using System.CommandLine.Invocation;
using Evacuator.Cli;

ParseResult command = EvacuatorCommand.Create().Parse(args);
int exitCode = await command.InvokeAsync();
return command.Action is ParseErrorAction ? CliExit.Usage : exitCode;
