using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.Processes;

namespace Evacuator.NodeAgent.Migration;

/// <summary>The destination's part where the container is stopped at the source and started anew here: no memory and no images, the same handshake.</summary>
internal sealed partial class DestinationMove
{
    private string StartLog => Path.Combine(_tools.Paths.CriuWork(Id), "start.log");

    private Task<ArmedCommand> ArmStartAsync(ContainerDescription container, CancellationToken cancel) => ArmedCommand.ArmAsync(
        AgentPaths.RestoreUnit(Id), _tools.Paths.Armed(Id), RuncCommands.Start(container, _tools.RuncRoot, StartLog), _tools.RuncEnvironment(null), inside: false, _tools.Time, cancel, inherited: true);

    private string StartFailure(CommandResult result) => $"runc run ended with {result.ExitCode}: {RuncCommands.StartProblem(StartLog)}";
}
