using System.Diagnostics;
using System.Globalization;

namespace Evacuator.Bench;

/// <summary>
/// A C program of this folder, compiled and running. Not a child of this process: the runtime would take its stops for those of its own
/// children. Ends with this object.
/// </summary>
internal sealed class HelperProgram : IDisposable
{
    private readonly Process _shell;
    private readonly string _file;

    private HelperProgram(Process shell, string file) => (_shell, _file) = (shell, file);

    public StreamReader Output => _shell.StandardOutput;

    public StreamWriter Input => _shell.StandardInput;

    /// <summary>What it said first: a word and a number.</summary>
    public ulong First { get; private set; }

    public int Pid { get; private set; }

    /// <exception cref="InvalidOperationException">it could not be compiled or did not begin</exception>
    public static async Task<HelperProgram> StartAsync(string name, params string[] arguments)
    {
        string file = Path.Combine(Path.GetTempPath(), $"evacuator-{name}-{Environment.ProcessId}");
        using (Process gcc = Process.Start("gcc", ["-O2", "-o", file, Path.Combine(AppContext.BaseDirectory, name + ".c")]))
        {
            await gcc.WaitForExitAsync();
            if (gcc.ExitCode != 0)
                throw new InvalidOperationException($"{name}.c does not compile; is libc6-dev installed?");
        }
        // A shell gives a program in the background no input unless it is told to.
        Process shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "exec 3<&0; \"$@\" <&3 & echo $!; exit", "sh", file, .. arguments])
        {
            RedirectStandardOutput = true, RedirectStandardInput = true,
        })!;
        HelperProgram program = new(shell, file);
        try
        {
            // The shell's word and the program's own come in either order.
            for (int line = 0; line < 2; line++)
                if (await program.LineAsync() is var text && int.TryParse(text, CultureInfo.InvariantCulture, out int pid))
                    program.Pid = pid;
                else
                    program.First = ulong.Parse(text.Split(' ')[1], CultureInfo.InvariantCulture);
            return program;
        }
        catch
        {
            program.Dispose();
            throw;
        }
    }

    public async Task<string> LineAsync() => await Output.ReadLineAsync() ?? throw new InvalidOperationException($"{Path.GetFileName(_file)} ended");

    public void Dispose()
    {
        try
        {
            if (Pid > 0)
                Process.GetProcessById(Pid).Kill();
        }
        catch (ArgumentException)
        {
            // It has ended by itself.
        }
        _shell.Dispose();
        File.Delete(_file);
    }
}
