using System.Buffers;
using System.Net.Http;
using System.Net.Security;

namespace Evacuator.NodeAgent.Transfer;

/// <summary>
/// Sends the TLS records of one write together. SslStream hands each record of 16 KiB on by itself: one call into the kernel, one packet train and one wake-up of the reader for
/// each. A gigabyte from agent to agent costs a tenth to a fifth less processor time so (bench.sh, wire).
/// </summary>
/// <remarks>
/// <code>
/// WholeWrites.WriteAsync(1 MiB) → SslStream → 64 records → RecordStream, 256 KiB at a time → socket
/// </code>
/// Only the end of the write above can say that nothing more follows: records that waited for others by their size alone could wait for ever.
/// </remarks>
internal sealed class WholeWrites : SslStream
{
    private readonly RecordStream _beneath;

    private WholeWrites(RecordStream beneath)
        : base(beneath, leaveInnerStreamOpen: false) => _beneath = beneath;

    /// <summary>Makes the TLS of a handler's connections, by the handler's own rules; the handler leaves a stream alone that is TLS already.</summary>
    public static void UseIn(SocketsHttpHandler handler)
    {
        if (handler.ConnectCallback is not { } connect || handler.SslOptions.TargetHost is null)
            throw new ArgumentException("a handler whose sockets are made for it, and that knows whom it means", nameof(handler));
        handler.ConnectCallback = async (context, cancel) =>
        {
            WholeWrites tls = new(new RecordStream(await connect(context, cancel)));
            try
            {
                await tls.AuthenticateAsClientAsync(handler.SslOptions, cancel);
                return tls;
            }
            catch
            {
                await tls.DisposeAsync();
                throw;
            }
        };
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (buffer.Length <= RecordStream.Record)
        {
            await base.WriteAsync(buffer, cancellationToken);
            return;
        }
        _beneath.Hold();
        try
        {
            await base.WriteAsync(buffer, cancellationToken);
            await _beneath.SendHeldAsync(cancellationToken);
        }
        finally
        {
            // After an error nothing is sent any more: the connection is over, as after any write of TLS that failed.
            _beneath.Pass();
        }
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
