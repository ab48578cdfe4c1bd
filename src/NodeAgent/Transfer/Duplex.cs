namespace Evacuator.NodeAgent.Transfer;

/// <summary>Joins two duplex streams until both directions have ended or one of them breaks.</summary>
internal static class Duplex
{
    /// <param name="left">read and written; its end of file is passed on by <paramref name="endRight"/></param>
    /// <param name="count">told the bytes that went from left to right; may hold that direction up</param>
    /// <param name="endLeft">says end of file to the left side</param>
    /// <param name="count">told the bytes that went from left to right</param>
    public static async Task JoinAsync(
        Stream leftOut, Stream leftIn, Action endLeft, Stream rightOut, Stream rightIn, Action endRight, Func<int, ValueTask>? count, CancellationToken cancel)
    {
        Task there = PumpAsync(leftOut, rightIn, endRight, count, cancel);
        Task back = PumpAsync(rightOut, leftIn, endLeft, null, cancel);
        await Task.WhenAll(there, back);
    }

    private static async Task PumpAsync(Stream from, Stream to, Action end, Func<int, ValueTask>? count, CancellationToken cancel)
    {
        byte[] buffer = new byte[128 * 1024];
        try
        {
            int read;
            while ((read = await from.ReadAsync(buffer, cancel)) > 0)
            {
                await to.WriteAsync(buffer.AsMemory(0, read), cancel);
                await to.FlushAsync(cancel);
                if (count is not null)
                    await count(read);
            }
        }
        catch (IOException)
        {
            // The other end closed first: rsync's two halves do not end in a fixed order. The exit code of rsync is what counts.
        }
        catch (ObjectDisposedException)
        {
        }
        finally
        {
            try
            {
                end();
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException or System.Net.Sockets.SocketException)
            {
                // Already gone, which is what was wanted.
            }
        }
    }
}
