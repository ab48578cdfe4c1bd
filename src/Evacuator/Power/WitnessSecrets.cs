using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Fleet;

namespace Evacuator.Power;

/// <summary>
/// Passwords of the BMCs that this node watches for others, while it watches. Only in memory (tmpfs), readable by the service alone: they survive a
/// restart of the service and not one of the host, and never reach a disk.
/// </summary>
internal sealed class WitnessSecrets(string runtimeDirectory)
{
    private readonly string _folder = Path.Combine(runtimeDirectory, "witness");

    public void Keep(Guid evacuation, BmcAccess access)
    {
        Directory.CreateDirectory(_folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using FileStream file = new(PathOf(evacuation), new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        JsonSerializer.Serialize(file, access, ApiJson.Options);
    }

    /// <summary>Null if it is gone, as after a reboot.</summary>
    public BmcAccess? Find(Guid evacuation)
    {
        try
        {
            return JsonSerializer.Deserialize<BmcAccess>(File.ReadAllText(PathOf(evacuation)), ApiJson.Options);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    public void Forget(Guid evacuation)
    {
        try
        {
            File.Delete(PathOf(evacuation));
        }
        catch (IOException)
        {
            // Its folder is gone already; then so is the file.
        }
    }

    private string PathOf(Guid evacuation) => Path.Combine(_folder, $"{evacuation:D}.json");
}
