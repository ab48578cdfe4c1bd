using System.Buffers;
using System.Net.Http;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// Sends the TLS records of one write together. SslStream hands each record of 16 KiB on by itself: one call into the kernel, one packet train and one wake-up of the reader for
/// each, which is a third of the processor time that a gigabyte costs.
/// </summary>
/// <remarks>
/// <code>
/// WholeWrites.WriteAsync(1 MiB) → SslStream → 64 records → RecordStream, 256 KiB at a time → socket
/// </code>
/// Only the end of the write above can say that nothing more follows: records that waited for others by their size alone could wait for ever.
/// </remarks>
internal sealed class WholeWrites(Stream tls, WholeWrites.RecordStream beneath) : Stream
{
    private static readonly HttpRequestOptionsKey<RecordStream> s_beneath = new("Evacuator.RecordStream");

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>Both halves around the TLS of a handler's connections, which the handler itself makes.</summary>
    public static void UseIn(SocketsHttpHandler handler)
    {
        if (handler.ConnectCallback is not { } connect)
            throw new ArgumentException("a handler that makes its own sockets", nameof(handler));
        Func<SocketsHttpPlaintextStreamFilterContext, CancellationToken, ValueTask<Stream>>? filter = handler.PlaintextStreamFilter;
        handler.ConnectCallback = async (context, cancel) =>
        {
            RecordStream made = new(await connect(context, cancel));
            context.InitialRequestMessage.Options.Set(s_beneath, made);
            return made;
        };
        handler.PlaintextStreamFilter = async (context, cancel) =>
        {
            Stream plain = filter is null ? context.PlaintextStream : await filter(context, cancel);
            return context.InitialRequestMessage.Options.TryGetValue(s_beneath, out RecordStream? made) ? new WholeWrites(plain, made) : plain;
        };
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (buffer.Length <= RecordStream.Record)
        {
            await tls.WriteAsync(buffer, cancellationToken);
            return;
        }
        beneath.Hold();
        try
        {
            await tls.WriteAsync(buffer, cancellationToken);
            await beneath.SendHeldAsync(cancellationToken);
        }
        finally
        {
            // After an error nothing is sent any more: the connection is over, as after any write of TLS that failed.
            beneath.Pass();
        }
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Write(byte[] buffer, int offset, int count) => tls.Write(buffer, offset, count);

    public override Task FlushAsync(CancellationToken cancellationToken) => tls.FlushAsync(cancellationToken);

    public override void Flush() => tls.Flush();

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => tls.ReadAsync(buffer, cancellationToken);

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => tls.ReadAsync(buffer, offset, count, cancellationToken);

    public override int Read(byte[] buffer, int offset, int count) => tls.Read(buffer, offset, count);

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override ValueTask DisposeAsync() => tls.DisposeAsync();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            tls.Dispose();
    }

    /// <summary>What TLS writes to: holds records back between <see cref="Hold"/> and <see cref="Pass"/>. One write at a time, as TLS does it. Owns the stream beneath.</summary>
    internal sealed class RecordStream(Stream inner) : Stream
    {
        /// <summary>What fits into one record.</summary>
        public const int Record = 16 * 1024;

        /// <summary>More than the kernel sends at once, and still in the processor's cache.</summary>
        private const int HeldBytes = 256 * 1024;

        /// <summary>Rented for one write above: a connection that is idle holds nothing.</summary>
        private byte[]? _held;
        private int _bytes;
        private bool _holding;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public void Hold() => _holding = true;

        public async ValueTask SendHeldAsync(CancellationToken cancel)
        {
            if (_bytes == 0)
                return;
            int bytes = _bytes;
            _bytes = 0;
            await inner.WriteAsync(_held.AsMemory(0, bytes), cancel);
        }

        public void Pass()
        {
            _holding = false;
            _bytes = 0;
            if (_held is { } held)
                ArrayPool<byte>.Shared.Return(held);
            _held = null;
        }

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (!_holding)
                return inner.WriteAsync(buffer, cancellationToken);
            _held ??= ArrayPool<byte>.Shared.Rent(HeldBytes);
            if (buffer.Length > _held.Length - _bytes)
                return SendAndWriteAsync(buffer, cancellationToken);
            buffer.CopyTo(_held.AsMemory(_bytes));
            _bytes += buffer.Length;
            return ValueTask.CompletedTask;
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override void Write(byte[] buffer, int offset, int count)
        {
            // TLS writes so only when it is told to by somebody who does not await; nothing is held then.
            inner.Write(_held ?? [], 0, _bytes);
            _bytes = 0;
            inner.Write(buffer, offset, count);
        }

        public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

        public override void Flush() => inner.Flush();

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => inner.ReadAsync(buffer, cancellationToken);

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => inner.ReadAsync(buffer, offset, count, cancellationToken);

        public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, count);

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override ValueTask DisposeAsync() => inner.DisposeAsync();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                inner.Dispose();
        }

        private async ValueTask SendAndWriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancel)
        {
            await SendHeldAsync(cancel);
            if (buffer.Length > _held!.Length)
            {
                await inner.WriteAsync(buffer, cancel);
                return;
            }
            buffer.CopyTo(_held);
            _bytes = buffer.Length;
        }
    }
}
