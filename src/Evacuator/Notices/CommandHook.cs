using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json;
using Evacuator.Common.AgentApi;

namespace Evacuator.Notices;

/// <summary>
/// A program that gets the notice as JSON on its standard input, with kind, node and text in its environment. It runs as user evacuator in the service's own
/// sandbox; what it writes is dropped. One that does not end in time is killed with its children.
/// </summary>
internal sealed class CommandHook(string path, TimeSpan timeout, TimeProvider time) : INoticeHook
{
    public string Name => "command";

    public async Task<string?> DeliverAsync(Notice notice, CancellationToken token)
    {
        using CancellationTokenSource limit = new(timeout, time);
        // Linked: the service's stop; the time limit.
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(token, limit.Token);
        using Process process = new()
        {
            StartInfo = new ProcessStartInfo(path)
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                WorkingDirectory = "/",
                Environment =
                {
                    ["EVACUATOR_KIND"] = JsonNamingPolicy.KebabCaseLower.ConvertName(notice.Kind.ToString()),
                    ["EVACUATOR_NODE"] = notice.About,
                    ["EVACUATOR_TEXT"] = notice.Text,
                },
            },
        };
        try
        {
            process.Start();
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            return $"{path} cannot be started: {e.Message}";
        }

        try
        {
            // Read to nowhere: a full pipe would hold it for ever.
            Task output = process.StandardOutput.BaseStream.CopyToAsync(Stream.Null, linked.Token);
            Task error = process.StandardError.BaseStream.CopyToAsync(Stream.Null, linked.Token);
            await WriteAsync(process, notice, linked.Token).ConfigureAwait(false);
            await process.WaitForExitAsync(linked.Token).ConfigureAwait(false);
            // A child that it left behind may hold the pipes open; that is no reason to wait.
            _ = Task.WhenAny(output, error);
            return process.ExitCode == 0 ? null : $"{path} ended with {process.ExitCode}";
        }
        catch (OperationCanceledException)
        {
            Kill(process);
            token.ThrowIfCancellationRequested();
            return $"{path} did not end within {timeout.TotalSeconds:0.#} s and was killed";
        }
        finally
        {
            await linked.CancelAsync().ConfigureAwait(false);
        }
    }

    private static async Task WriteAsync(Process process, Notice notice, CancellationToken token)
    {
        try
        {
            await process.StandardInput.BaseStream.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(notice, ApiJson.Options), token).ConfigureAwait(false);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It does not want to read: the environment says the same.
        }
    }

    private static void Kill(Process process)
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception or AggregateException)
        {
            // It has just ended.
        }
    }
}
