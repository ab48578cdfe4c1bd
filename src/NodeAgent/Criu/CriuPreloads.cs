using System.Text;
using Evacuator.NodeAgent.Processes;

namespace Evacuator.NodeAgent.Criu;

/// <summary>What of ours can be put into the installed CRIU.</summary>
/// <param name="Gate">It can be held until it is needed, and called off: native/criu-gate.c</param>
/// <param name="Quick">It can be spared its children: native/criu-quick.c</param>
internal sealed record CriuPreloads(bool Gate, bool Quick)
{
    private static readonly string[] Places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

    public static CriuPreloads None { get; } = new(false, false);

    /// <summary>
    /// A preloaded function is used only where the program asks the dynamic linker for it by that name, and where the linker preloads at all. A
    /// CRIU that is not held would dump a container that is running, so nothing is taken on trust.
    /// </summary>
    /// <param name="gate">path of the library, or of where it would be</param>
    /// <param name="quick">path of the library, or of where it would be</param>
    public static async Task<CriuPreloads> ProbeAsync(string gate, string quick, CancellationToken cancel)
    {
        string? criu = Places.Select(place => Path.Combine(place, "criu")).FirstOrDefault(File.Exists);
        if (criu is null)
            return None;
        byte[] program = await File.ReadAllBytesAsync(criu, cancel);
        return new CriuPreloads(
            await IsLoadedAsync(gate, cancel) && Imports(program, "recv") && Imports(program, "openat64"),
            await IsLoadedAsync(quick, cancel) && Imports(program, "execvp") && Imports(program, "sendmsg"));
    }

    /// <summary>Whether a program that is started with this library has it.</summary>
    internal static async Task<bool> IsLoadedAsync(string library, CancellationToken cancel)
    {
        if (!File.Exists(library))
            return false;
        CommandResult maps = await Command.RunAsync("cat", ["/proc/self/maps"], cancel, new Dictionary<string, string> { ["LD_PRELOAD"] = library });
        return maps.Succeeded && maps.Output.Contains(library, StringComparison.Ordinal);
    }

    /// <summary>Names in a table of strings of an ELF file stand between zeroes, and only dynamic programs have an interpreter.</summary>
    internal static bool Imports(ReadOnlySpan<byte> program, string name) =>
        program.IndexOf("ld-linux"u8) >= 0 && program.IndexOf(Encoding.ASCII.GetBytes($"\0{name}\0")) >= 0;
}
