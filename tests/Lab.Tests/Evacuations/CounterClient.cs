using System.Diagnostics;
using System.Globalization;
using Evacuator.Lab.Tests.Rack;

namespace Evacuator.Lab.Tests.Evacuations;

/// <summary>
/// Somebody outside who holds one TCP connection to a counter, asks it all the time and expects the next number each time. A number that does
/// not follow, or the end of the connection, is the end of the client: it never connects again.
/// </summary>
internal sealed class CounterClient : IAsyncDisposable
{
    /// <summary>Between two questions.</summary>
    public static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(10);

    private readonly Process _process;
    private readonly string _container;
    private readonly TimeSpan _pace;
    private readonly CancellationTokenSource _end = new();
    private readonly Task _asking;
    private long _answers;
    private double _longestPauseMs;
    private volatile string? _broken;

    /// <param name="lab">of the rack</param>
    /// <param name="container">for messages</param>
    /// <param name="address">of the container, or of the host whose network it shares</param>
    public CounterClient(LabCommand lab, string container, string address, TimeSpan? pace = null)
    {
        _pace = pace ?? Pace;
        _container = container;
        // A process of its own in the outside host's network; the shell's own sockets, so that nothing needs to be installed.
        _process = lab.Start("probe", "client", "bash", "-c", "exec 3<>\"/dev/tcp/$1/7000\" || exit 1; cat <&3 & cat >&3", "-", address);
        _asking = AskAsync();
    }

    public double LongestPauseMs => _longestPauseMs;

    /// <summary>Begins the measurement of the longest pause anew.</summary>
    public void ForgetPauses() => _longestPauseMs = 0;

    /// <summary>Fails unless the connection is whole and the container answers a question that is asked from now on.</summary>
    public async Task AssertAliveAsync()
    {
        long before = Interlocked.Read(ref _answers);
        long start = Stopwatch.GetTimestamp();
        // The answer under way may be to a question from before.
        while (Interlocked.Read(ref _answers) < before + 2)
        {
            Assert.True(_broken is null, $"the connection to {_container} broke: {_broken}");
            Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(30), $"{_container} has not answered for 30 s, after {before} answers");
            await Task.Delay(10);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        await _asking;
        await _process.WaitForExitAsync();
        _process.Dispose();
        _end.Dispose();
    }

    private async Task AskAsync()
    {
        long? last = null;
        try
        {
            while (!_end.IsCancellationRequested)
            {
                long start = Stopwatch.GetTimestamp();
                await _process.StandardInput.WriteAsync("next\n");
                await _process.StandardInput.FlushAsync(_end.Token);
                string? line = await _process.StandardOutput.ReadLineAsync(_end.Token);
                if (!long.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out long number) || (last is { } earlier && number != earlier + 1))
                {
                    _broken = line is null ? $"closed after {_answers} answers" : $"'{line}' came after {last}";
                    return;
                }

                last = number;
                _longestPauseMs = Math.Max(_longestPauseMs, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                Interlocked.Increment(ref _answers);
                await Task.Delay(_pace, _end.Token);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            _broken = _end.IsCancellationRequested ? "the test ended it" : e.Message;
        }
    }
}
