using Evacuator.NodeAgent.Processes;

namespace Evacuator.NodeAgent.Criu;

/// <summary>The installed CRIU's version.</summary>
internal static class CriuVersion
{
    /// <returns>"4.2.1"; empty if there is no CRIU, or it does not say</returns>
    public static async Task<string> TextAsync()
    {
        try
        {
            CommandResult result = await Command.RunAsync("criu", ["--version"], CancellationToken.None);
            return TryParse(result.Output, out Version? version) ? version!.ToString() : "";
        }
        catch (CommandException)
        {
            return "";
        }
    }

    /// <returns>false also if there is no CRIU: the host's requirements then say so</returns>
    public static async Task<bool> IsAtLeastAsync(int major, int minor)
    {
        try
        {
            CommandResult result = await Command.RunAsync("criu", ["--version"], CancellationToken.None);
            return TryParse(result.Output, out Version? version) && version >= new Version(major, minor);
        }
        catch (CommandException)
        {
            return false;
        }
    }

    /// <summary>"Version: 4.2.1\nGitID: v4.2.1": the first line holds it; a development build may say "4.2-dirty".</summary>
    public static bool TryParse(string output, out Version? version)
    {
        version = null;
        foreach (string line in output.Split('\n'))
        {
            if (!line.StartsWith("Version:", StringComparison.Ordinal))
                continue;
            string text = new([.. line["Version:".Length..].Trim().TakeWhile(c => char.IsAsciiDigit(c) || c == '.')]);
            return Version.TryParse(text.Contains('.') ? text.TrimEnd('.') : text + ".0", out version);
        }
        return false;
    }
}
