using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Evacuator.Lab.Tests.Rack;

namespace Evacuator.Lab.Tests.Engine;

/// <summary><c>lab client</c>, held until it is asked what it saw. Owns its process.</summary>
internal sealed class OutsideClient : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task<string> _output, _errors;

    public OutsideClient(LabCommand lab, string mode, string address)
    {
        _process = lab.Start("client", mode, address, "--seconds", "0", "--patience", "60", "--report-ms", "600000");
        _process.StandardInput.Close();
        (_output, _errors) = (_process.StandardOutput.ReadToEndAsync(), _process.StandardError.ReadToEndAsync());
    }

    /// <summary>Ends it and answers its report; what it complained about comes with it.</summary>
    public async Task<(JsonElement Report, string Complaints)> EndAsync()
    {
        using (Process kill = Process.Start("kill", ["-TERM", _process.Id.ToString(CultureInfo.InvariantCulture)]))
            await kill.WaitForExitAsync();
        await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(2));
        return (JsonDocument.Parse(await _output).RootElement.Clone(), await _errors);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }
}
