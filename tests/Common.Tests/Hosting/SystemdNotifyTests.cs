using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Evacuator.Common.Hosting;
using Evacuator.Testing;
using Microsoft.Win32.SafeHandles;

namespace Evacuator.Common.Tests.Hosting;

public sealed partial class SystemdNotifyTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly Socket _systemd = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);

    public void Dispose()
    {
        _systemd.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Ready_PathOrAbstractSocket_Arrives(bool isAbstract)
    {
        using SystemdNotify notify = new(Listen(isAbstract));

        Assert.True(notify.Ready("up\nand running"));
        Assert.Equal("READY=1\nSTATUS=up and running", Receive());
        Assert.True(notify.Status("moving 3"));
        Assert.Equal("STATUS=moving 3", Receive());
        Assert.True(notify.Watchdog());
        Assert.Equal("WATCHDOG=1", Receive());
        Assert.True(notify.Stopping());
        Assert.Equal("STOPPING=1", Receive());
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("relative")]
    [InlineData("/does/not/exist")]
    public void Ready_NobodyListens_IsNoError(string? address)
    {
        using SystemdNotify notify = new(address);

        Assert.False(notify.IsConnected);
        Assert.False(notify.Ready("up"));
    }

    [Fact]
    public void Ready_ListenerGone_IsNoError()
    {
        using SystemdNotify notify = new(Listen(isAbstract: true));
        _systemd.Dispose();

        Assert.False(notify.Ready("up"));
    }

    [Fact]
    public unsafe void StoreDescriptor_File_ArrivesWithItsNameAndIsTheSameFile()
    {
        using SystemdNotify notify = new(Listen(isAbstract: true));
        string path = Path.Combine(_folder.Path, "kept");
        File.WriteAllText(path, "kept text");
        using SafeFileHandle file = File.OpenHandle(path);

        Assert.True(notify.StoreDescriptor(file, "pages-1", poll: false));

        // The receiving side by hand, with the structures that the kernel fills.
        byte[] text = new byte[256];
        Interop.DescriptorMessage control = default;
        nint length;
        fixed (byte* start = text)
        {
            Interop.IoVector vector = new() { Base = start, Length = (nuint)text.Length };
            Interop.MessageHeader message = new() { Vectors = &vector, VectorCount = 1, Control = &control, ControlLength = (nuint)sizeof(Interop.DescriptorMessage) };
            length = ReceiveMessage(_systemd.SafeHandle, &message, 0);
        }

        Assert.Equal("FDSTORE=1\nFDNAME=pages-1\nFDPOLL=0", Encoding.UTF8.GetString(text, 0, (int)length));
        Assert.Equal((nuint)20, control.Length);
        Assert.Equal(Interop.SCM_RIGHTS, control.Type);
        using SafeFileHandle received = new(control.Descriptor, ownsHandle: true);
        byte[] content = new byte[9];
        Assert.Equal(9, RandomAccess.Read(received, content, 0));
        Assert.Equal("kept text", Encoding.UTF8.GetString(content));
    }

    [Fact]
    public async Task Barrier_SystemdComesToIt_EndsOnlyThen()
    {
        using SystemdNotify notify = new(Listen(isAbstract: true));

        // Nobody reads: what was sent is on its way, and no more than that.
        Assert.False(notify.Barrier(TimeSpan.FromMilliseconds(1)));
        Task<bool> waiting = Task.Run(() => notify.Barrier(TimeSpan.FromMinutes(1)));
        Assert.Equal(("BARRIER=1", true), ReceiveAndClose());
        Assert.Equal(("BARRIER=1", true), ReceiveAndClose());

        Assert.True(await waiting);
    }

    /// <summary>Reads a message as systemd does, and closes what came with it.</summary>
    private unsafe (string Text, bool Descriptor) ReceiveAndClose()
    {
        byte[] text = new byte[256];
        Interop.DescriptorMessage control = default;
        fixed (byte* start = text)
        {
            Interop.IoVector vector = new() { Base = start, Length = (nuint)text.Length };
            Interop.MessageHeader message = new() { Vectors = &vector, VectorCount = 1, Control = &control, ControlLength = (nuint)sizeof(Interop.DescriptorMessage) };
            nint length = ReceiveMessage(_systemd.SafeHandle, &message, 0);
            using SafeFileHandle received = new(control.Descriptor, ownsHandle: true);
            return (Encoding.UTF8.GetString(text, 0, (int)length), control.Type == Interop.SCM_RIGHTS);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("a:b")]
    [InlineData("a\nREADY=1")]
    [InlineData("ü")]
    public void StoreDescriptor_NameThatSystemdRefuses_IsACallersError(string name)
    {
        using SystemdNotify notify = new(Listen(isAbstract: true));
        using SafeFileHandle file = File.OpenHandle("/dev/null");

        Assert.Throws<ArgumentException>(() => notify.StoreDescriptor(file, name));
    }

    private string Listen(bool isAbstract)
    {
        string name = isAbstract ? $"evacuator-test-{Guid.NewGuid():N}" : Path.Combine(_folder.Path, "notify");
        _systemd.Bind(new UnixDomainSocketEndPoint(isAbstract ? '\0' + name : name));
        return isAbstract ? '@' + name : name;
    }

    private string Receive()
    {
        byte[] buffer = new byte[1024];
        return Encoding.UTF8.GetString(buffer, 0, _systemd.Receive(buffer));
    }

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    private static unsafe partial nint ReceiveMessage(SafeHandle socket, Interop.MessageHeader* message, int flags);
}
