using System.Globalization;
using System.IO.Pipes;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace Evacuator.Common.Hosting;

/// <summary>
/// What a service tells systemd about itself: datagrams of VARIABLE=value lines to the socket in $NOTIFY_SOCKET, see sd_notify(3). Does nothing where
/// systemd has not asked for it. Failures to send are not errors of the service: systemd judges by what it gets.
/// </summary>
public sealed class SystemdNotify : IDisposable
{
    private readonly Socket? _socket;

    /// <summary>To the socket that the environment names.</summary>
    public SystemdNotify()
        : this(Environment.GetEnvironmentVariable("NOTIFY_SOCKET"))
    {
    }

    /// <param name="address">a path, or @name for an abstract socket; null or empty for none</param>
    internal SystemdNotify(string? address)
    {
        if (string.IsNullOrEmpty(address) || address[0] is not ('/' or '@'))
            return;
        Socket socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(address[0] == '@' ? '\0' + address[1..] : address));
            _socket = socket;
        }
        catch (SocketException)
        {
            socket.Dispose();
        }
    }

    /// <summary>Whether anyone listens.</summary>
    public bool IsConnected => _socket is not null;

    /// <summary>The service is up: its sockets listen.</summary>
    public bool Ready(string status) => Send($"READY=1\nSTATUS={OneLine(status)}");

    /// <summary>One line for "systemctl status".</summary>
    public bool Status(string status) => Send($"STATUS={OneLine(status)}");

    public bool Stopping() => Send("STOPPING=1");

    /// <summary>The service makes progress.</summary>
    public bool Watchdog() => Send("WATCHDOG=1");

    /// <summary>
    /// Leaves a duplicate of the descriptor with systemd, which gives it back by this name when the service starts again (FileDescriptorStoreMax= in the unit).
    /// </summary>
    /// <param name="descriptor">stays the caller's</param>
    /// <param name="name">at most 255 printable ASCII characters without colon</param>
    /// <param name="poll">false for a userfaultfd and the like: systemd drops descriptors that poll as hung up</param>
    public bool StoreDescriptor(SafeHandle descriptor, string name, bool poll = true)
    {
        if (name.Length is 0 or > 255 || name.Any(c => !char.IsAscii(c) || char.IsControl(c) || c == ':'))
            throw new ArgumentException($"\"{name}\" is not a name for a stored descriptor", nameof(name));
        return Send($"FDSTORE=1\nFDNAME={name}{(poll ? "" : "\nFDPOLL=0")}", descriptor);
    }

    /// <summary>How many descriptors systemd keeps for this service ($FDSTORE, systemd 254); 0 if it keeps none.</summary>
    public static int DescriptorCapacity =>
        int.TryParse(Environment.GetEnvironmentVariable("FDSTORE"), NumberStyles.None, CultureInfo.InvariantCulture, out int capacity) ? capacity : 0;

    /// <summary>
    /// Waits until systemd has dealt with all that was told to it before. What is only on its way is lost if the sender dies: systemd does not know
    /// any more then whose it was. See sd_notify_barrier(3).
    /// </summary>
    /// <returns>false if systemd did not get there in time, or nobody listens</returns>
    public unsafe bool Barrier(TimeSpan patience)
    {
        using AnonymousPipeServerStream pipe = new(PipeDirection.In);
        if (!Send("BARRIER=1", pipe.ClientSafePipeHandle))
            return false;
        // The other end is systemd's alone now: it hangs up when it has come to this message.
        pipe.DisposeLocalCopyOfClientHandle();
        bool added = false;
        pipe.SafePipeHandle.DangerousAddRef(ref added);
        try
        {
            Interop.PollEntry entry = new() { Descriptor = (int)pipe.SafePipeHandle.DangerousGetHandle() };
            long begun = TimeProvider.System.GetTimestamp();
            while (true)
            {
                int left = (int)Math.Max(0, (patience - TimeProvider.System.GetElapsedTime(begun)).TotalMilliseconds);
                int ready = Interop.Poll(&entry, 1, left);
                // The runtime stops its threads by signals, and poll is not begun again by itself after one.
                if (ready >= 0 || Marshal.GetLastPInvokeError() != Interop.EINTR)
                    return ready == 1;
            }
        }
        finally
        {
            if (added)
                pipe.SafePipeHandle.DangerousRelease();
        }
    }

    /// <summary>Takes all descriptors of that name out of systemd's keeping again.</summary>
    public bool RemoveDescriptor(string name) => Send($"FDSTOREREMOVE=1\nFDNAME={name}");

    public void Dispose() => _socket?.Dispose();

    private static string OneLine(string text) => text.ReplaceLineEndings(" ");

    private bool Send(string message)
    {
        if (_socket is null)
            return false;
        try
        {
            return _socket.Send(Encoding.UTF8.GetBytes(message)) > 0;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private unsafe bool Send(string message, SafeHandle descriptor)
    {
        if (_socket is null)
            return false;
        bool added = false;
        descriptor.DangerousAddRef(ref added);
        try
        {
            byte[] text = Encoding.UTF8.GetBytes(message);
            Interop.DescriptorMessage control = new()
            {
                // CMSG_LEN(sizeof(int)): the header and the descriptor, without the padding that CMSG_SPACE has.
                Length = (nuint)(Marshal.OffsetOf<Interop.DescriptorMessage>(nameof(Interop.DescriptorMessage.Descriptor)) + sizeof(int)),
                Level = Interop.SOL_SOCKET,
                Type = Interop.SCM_RIGHTS,
                Descriptor = (int)descriptor.DangerousGetHandle(),
            };
            fixed (byte* start = text)
            {
                Interop.IoVector vector = new() { Base = start, Length = (nuint)text.Length };
                Interop.MessageHeader header = new() { Vectors = &vector, VectorCount = 1, Control = &control, ControlLength = (nuint)sizeof(Interop.DescriptorMessage) };
                long sent;
                do
                    sent = (long)Interop.SendMessage(_socket.SafeHandle, &header, Interop.MSG_NOSIGNAL);
                while (sent < 0 && Marshal.GetLastPInvokeError() == Interop.EINTR);
                return sent == text.Length;
            }
        }
        finally
        {
            if (added)
                descriptor.DangerousRelease();
        }
    }
}
