using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading.Channels;

namespace Evacuator.Lab.BmcSimulator.Model;

/// <summary>
/// Keeps the mutable model in a file: any number of changes between two writes cost one write, and the last one is written at
/// the end. A kill may lose the changes of the last moments, as a BMC's own flash does.
/// </summary>
internal sealed class ModelFile : IAsyncDisposable
{
    private readonly string _path;
    private readonly Func<JsonObject> _snapshot;
    // One waiting mark is enough: it stands for every change before the next write.
    private readonly Channel<bool> _dirty = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });
    private readonly Task _writer;

    public ModelFile(string path, Func<JsonObject> snapshot)
    {
        _path = path;
        _snapshot = snapshot;
        _writer = WriteLoopAsync();
    }

    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    public static JsonObject? Load(string path)
    {
        try
        {
            return File.Exists(path) ? JsonText.ParseObject(File.ReadAllBytes(path)) : null;
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"{path} is damaged ({error.Message}): delete it to start with the factory state", error);
        }
    }

    public void MarkDirty() => _dirty.Writer.TryWrite(true);

    public async ValueTask DisposeAsync()
    {
        _dirty.Writer.TryComplete();
        await _writer;
    }

    private async Task WriteLoopAsync()
    {
        await foreach (bool _ in _dirty.Reader.ReadAllAsync())
        {
            string temporary = _path + ".new";
            await File.WriteAllBytesAsync(temporary, JsonText.Bytes(_snapshot()));
            File.Move(temporary, _path, overwrite: true);
        }
    }
}
