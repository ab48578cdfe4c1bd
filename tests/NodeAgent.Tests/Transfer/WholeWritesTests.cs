using System.Security.Cryptography;
using Evacuator.Bench;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Tests.Transfer;

/// <summary>An agent's client and a listener with an agent's buffers, with real TLS on loopback: each write arrives whole, without another one behind it.</summary>
public sealed class WholeWritesTests : IAsyncLifetime
{
    private const int Mebibyte = 1 << 20;
    private readonly TaskCompletionSource _over = new();
    private readonly TaskCompletionSource<Stream> _upgraded = new();
    private readonly CountedSends _sends = new();
    private LoopbackPeer _peer = null!;

    public async Task InitializeAsync() => _peer = await LoopbackPeer.StartAsync(
        async stream =>
        {
            _upgraded.SetResult(stream);
            await _over.Task;
        },
        socket =>
        {
            _sends.Beneath = socket;
            return _sends;
        });

    public async Task DisposeAsync()
    {
        _over.TrySetResult();
        await _peer.DisposeAsync();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(16 * 1024)]
    [InlineData(16 * 1024 + 1)]
    [InlineData(15 * 16 * 1024)] // Whole records only, less than is sent at once.
    [InlineData(Mebibyte)] // A batch of pages.
    [InlineData(3 * Mebibyte + 5)]
    public async Task Write_NothingElseFollows_ArrivesWhole(int bytes)
    {
        (Stream here, Stream there) = await ConnectAsync();
        byte[] sent = RandomNumberGenerator.GetBytes(bytes), got = new byte[bytes];

        Task reading = there.ReadExactlyAsync(got).AsTask();
        await here.WriteAsync(sent);
        await reading.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.Equal(sent, got);
    }

    [Fact]
    public async Task Write_OfABatch_IsAFewCallsOfTheKernel()
    {
        (Stream here, Stream there) = await ConnectAsync();
        byte[] got = new byte[Mebibyte];
        int before = _sends.Count;

        Task reading = there.ReadExactlyAsync(got).AsTask();
        await here.WriteAsync(new byte[Mebibyte]);
        await reading.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.InRange(_sends.Count - before, 1, 6);
    }

    [Fact]
    public async Task Write_ConnectionIsGone_FailsEachTime()
    {
        (Stream here, _) = await ConnectAsync();
        _sends.Beneath!.Dispose();

        for (int i = 0; i < 2; i++)
            await Assert.ThrowsAnyAsync<Exception>(() => here.WriteAsync(new byte[Mebibyte]).AsTask());
    }

    private async Task<(Stream Here, Stream There)> ConnectAsync()
    {
        IReadOnlyList<Stream> lanes = await _peer.Client.OpenPagesAsync(1, CancellationToken.None);
        return (lanes[0], await _upgraded.Task);
    }

    /// <summary>Counts what goes into the kernel.</summary>
    private sealed class CountedSends : Stream
    {
        private int _count;

        public Stream? Beneath { get; set; }

        public int Count => Volatile.Read(ref _count);

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Interlocked.Increment(ref _count);
            return Beneath!.WriteAsync(buffer, cancellationToken);
        }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => Beneath!.ReadAsync(buffer, cancellationToken);

        public override Task FlushAsync(CancellationToken cancellationToken) => Beneath!.FlushAsync(cancellationToken);

        public override void Flush() => Beneath!.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                Beneath?.Dispose();
        }
    }
}
