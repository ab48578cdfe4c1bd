using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Hosting;
using Evacuator.Redfish.Power;

namespace Evacuator.Power;

/// <summary>
/// How a locator LED stood before it was lit here, kept over restarts: somebody else may have lit it, and "off" is not everywhere called Off. Of two lightings in a row
/// the first counts. Without a place to keep it the LED is simply switched off again.
/// </summary>
internal sealed class LedMemory(string stateDirectory, string url, string system)
{
    private readonly string _path = Path.Combine(stateDirectory, $"led-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{url}\n{system}")))[..16]}.json");

    public LedState? Recall()
    {
        try
        {
            return File.Exists(_path) ? JsonSerializer.Deserialize<LedState>(File.ReadAllText(_path), ApiJson.Options) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    public void Remember(LedState before)
    {
        try
        {
            if (!File.Exists(_path))
                AtomicFile.Write(_path, JsonSerializer.Serialize(before, ApiJson.Options), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Then it is switched off at the end, whatever it was.
        }
    }

    public void Forget()
    {
        try
        {
            File.Delete(_path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The next "off" restores it once more: harmless.
        }
    }
}
