namespace Evacuator.NodeAgent.Tests.Transfer;

/// <summary>One end of the connection; may flip one bit of what is written through it.</summary>
internal sealed class DuplexStream(Stream read, Stream write, int? damage = null) : Stream
{
    private long _written;

    public override bool CanRead => true;
    public override bool CanWrite => true;
    public override bool CanSeek => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancel = default) => read.ReadAsync(buffer, cancel);

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancel = default)
    {
        byte[] copy = buffer.ToArray();
        if (damage - _written is { } at && at >= 0 && at < copy.Length)
            copy[at] ^= 1;
        _written += copy.Length;
        await write.WriteAsync(copy, cancel);
    }

    public override Task FlushAsync(CancellationToken cancel) => write.FlushAsync(cancel);
    public override void Flush() => write.Flush();
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        read.Dispose();
        write.Dispose();
    }
}
