using System.Buffers.Text;
using System.Text;

namespace Evacuator.NodeAgent.Memory;

/// <summary>What the tracker needs of /proc/PID/status.</summary>
/// <param name="State">R, S, D, T, t, Z, X, I as the kernel prints it.</param>
/// <param name="TracerPid">Who traces it, 0 for nobody.</param>
/// <param name="NamespacePid">Its pid in the innermost pid namespace: inside the container.</param>
/// <param name="LockedKilobytes">mlock()ed memory; CRIU restores that eagerly, so the tracker leaves it alone.</param>
/// <param name="ShadowStack">The task has a user shadow stack: its return addresses cannot be borrowed.</param>
internal sealed record ProcessStatus(char State, int ParentPid, int TracerPid, int NamespacePid, int Threads, long LockedKilobytes, int SeccompMode, bool ShadowStack)
{
    public bool IsZombie => State is 'Z' or 'X';

    public static ProcessStatus? Read(int pid) => Parse(ProcFiles.Read($"/proc/{pid}/status"));

    /// <summary>Lines of "Name:\tvalue", e.g. "NSpid:\t4026\t1" from the outermost namespace to the innermost. Null where the text is not a status file.</summary>
    public static ProcessStatus? Parse(ReadOnlySpan<byte> text)
    {
        char state = '\0';
        int parent = 0, tracer = 0, namespacePid = 0, threads = 0, seccomp = 0;
        long locked = 0;
        bool shadowStack = false;
        foreach (Range range in text.Split((byte)'\n'))
        {
            ReadOnlySpan<byte> line = text[range];
            int colon = line.IndexOf((byte)':');
            if (colon < 0)
                continue;
            ReadOnlySpan<byte> value = line[(colon + 1)..].Trim("\t "u8);
            switch (Encoding.ASCII.GetString(line[..colon]))
            {
                case "State" when value.Length > 0: state = (char)value[0]; break;
                case "PPid": parent = Number(value); break;
                case "TracerPid": tracer = Number(value); break;
                case "NSpid": namespacePid = Number(value[(value.LastIndexOf((byte)'\t') + 1)..]); break;
                case "Threads": threads = Number(value); break;
                case "VmLck": locked = Number(value); break;
                case "Seccomp": seccomp = Number(value); break;
                case "x86_Thread_features": shadowStack = value.IndexOf("shstk"u8) >= 0; break;
            }
        }
        return state == '\0' ? null : new ProcessStatus(state, parent, tracer, namespacePid, threads, locked, seccomp, shadowStack);
    }

    private static int Number(ReadOnlySpan<byte> text) => Utf8Parser.TryParse(text, out int number, out _) ? number : 0;
}
