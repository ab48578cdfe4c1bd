using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.NodeAgent.Containers;
using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Migration;

/// <summary>The restore, prepared while the container still runs at its source and held at the last moment before it needs the images.</summary>
internal sealed partial class DestinationMove
{
    /// <summary>runc reads it before it starts CRIU, and so before the images are here.</summary>
    private const string DescriptorsFile = "descriptors.json";

    /// <summary>
    /// 3. The source changes no file now: runc may look at the trees, make mount points in them, and start a CRIU that waits. It makes nothing
    /// that could run, and undoes what it made when it is called off.
    /// </summary>
    public async Task ArmAsync(CancellationToken cancel)
    {
        await _tools.Urgent.GiveWayAsync(cancel);
        using Gate gate = await EnterAsync(cancel);
        Require(DestinationPhase.Receiving);
        await ArmNeedsGateAsync();
        await RehearseAsync(_container!, cancel);
    }

    /// <summary>Walks the ways from the images to READY and to the restore without effect; see the source's rehearsal.</summary>
    private async Task RehearseAsync(ContainerDescription container, CancellationToken cancel)
    {
        string place = Path.Combine(_tools.Paths.Move(Id), "rehearsal");
        Directory.CreateDirectory(place);
        using MemoryStream stream = new();
        await ImageStream.WriteAsync(_tools.Paths.Images(Id), stream, cancel);
        stream.Position = 0;
        await ImageStream.ReadAsync(stream, place, 1 << 20, cancel);
        await File.WriteAllBytesAsync(Path.Combine(place, "pagemap-1.img"), PagemapImage.Empty.Write(), cancel);
        using (ProcessPages pages = ProcessPages.Create(1))
        {
            (_, int region, int page, int length) = pages.Place(Interop.PageSize, Interop.PageSize);
            pages.Keep(region, page, length);
            PagemapImage.CompleteAll(place, _ => pages.Runs());
            _ = pages.Table.CountPages();
        }
        // It hears of no process, so it fills nothing and ends nothing.
        LazySession.Listen(new Dictionary<int, ProcessPages>(), place, _tools.Time, _log, fatal: _ => { }).Dispose();
        using (QuickCgroupMoves.Begin(_tools.Time, KernelPaths.Default))
            _ = _tools.Systemd.Barrier(KeepingPatience);
        CompleteRequest request = new(JsonSerializer.Serialize(container, ApiJson.Options), 0, 0, []);
        request = JsonSerializer.Deserialize<CompleteRequest>(JsonSerializer.SerializeToUtf8Bytes(request, ApiJson.Options), ApiJson.Options)!;
        _ = JsonSerializer.Deserialize<ContainerDescription>(request.Neighbours, ApiJson.Options);
        _tools.Network.UpdateNeighbours(container);
        Directory.Delete(place, recursive: true);
    }

    private async Task ArmNeedsGateAsync()
    {
        if (_restore is not null)
            return;
        ContainerDescription container = _container!;
        if (_record.Stopped)
        {
            _restore = await ArmStartAsync(container, CancellationToken.None);
            return;
        }
        // Single files are put in place at the end, and runc mounts them on the way.
        bool inside = _tools.Preloads.Gate && container.Descriptors.Count > 0 && container.Trees.All(tree => tree.Kind != TreeKind.File);
        string descriptors = Path.Combine(_tools.Paths.Images(Id), DescriptorsFile);
        if (inside && !File.Exists(descriptors))
            await File.WriteAllBytesAsync(descriptors, JsonSerializer.SerializeToUtf8Bytes(container.Descriptors));
        // Not cancelled with the request: half armed can neither be used nor armed again.
        _restore = await ArmedCommand.ArmAsync(
            AgentPaths.RestoreUnit(Id), _tools.Paths.Armed(Id),
            RuncCommands.Restore(container, _tools.RuncRoot, _tools.Paths.Images(Id), _tools.Paths.CriuWork(Id), lazy: _record.Engine),
            _tools.RuncEnvironment(inside ? _tools.Paths.Armed(Id) : null), inside, _tools.Time, CancellationToken.None, ownMounts: true);
    }

    /// <summary>What runc has been told early has to be what the images say.</summary>
    private void CheckDescriptors(ContainerDescription container)
    {
        string path = Path.Combine(_tools.Paths.Images(Id), DescriptorsFile);
        if (_restore is null || container.Descriptors.Count == 0)
            return;
        string[]? arrived = File.Exists(path) ? JsonSerializer.Deserialize<string[]>(File.ReadAllBytes(path)) : null;
        if (arrived is null || !arrived.SequenceEqual(container.Descriptors))
            throw new MoveRefusedException([new Blocker(BlockerCode.Unreadable,
                $"the images of {container.Name} name other descriptors ({string.Join(", ", arrived ?? [])}) than its description ({string.Join(", ", container.Descriptors)})")]);
    }
}
