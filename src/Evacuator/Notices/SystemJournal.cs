using System.Buffers.Binary;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Evacuator.Notices;

/// <summary>
/// Writes notices to systemd's journal with their fields (https://systemd.io/JOURNAL_NATIVE_PROTOCOL). One datagram, never waited for: a journal that cannot take it
/// must not hold anything up.
/// <code>
/// NAME=value\n                                         a value without line break
/// NAME\n  u64 little endian length  value  \n          any value
/// </code>
/// </summary>
internal sealed class SystemJournal(string socketPath = "/run/systemd/journal/socket")
{
    /// <summary>False where there is no journal, or it is too busy: the caller logs in another way.</summary>
    public bool TryWrite(Notice notice)
    {
        try
        {
            using Socket socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { Blocking = false };
            return socket.SendTo(Datagram(notice), new UnixDomainSocketEndPoint(socketPath)) > 0;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    internal static byte[] Datagram(Notice notice)
    {
        MemoryStream datagram = new();
        Add("MESSAGE", notice.Text);
        Add("MESSAGE_ID", NoticeIds.Of(notice.Kind));
        Add("PRIORITY", NoticeIds.Priority(notice.Kind).ToString(CultureInfo.InvariantCulture));
        Add("SYSLOG_IDENTIFIER", "evacuator");
        Add("EVACUATOR_NOTICE", JsonNamingPolicy.KebabCaseLower.ConvertName(notice.Kind.ToString()));
        Add("EVACUATOR_NODE", notice.About);
        Add("EVACUATOR_ID", notice.Id?.ToString("D"));
        Add("EVACUATOR_CONTAINER", notice.Container);
        Add("EVACUATOR_TICKET", notice.Ticket);
        Add("EVACUATOR_LOCATION", notice.Location);
        Add("EVACUATOR_PART", notice.Part);
        return datagram.ToArray();

        void Add(string name, string? value)
        {
            if (value is null)
                return;
            byte[] bytes = Encoding.UTF8.GetBytes(value);
            datagram.Write(Encoding.ASCII.GetBytes(name));
            datagram.WriteByte((byte)'\n');
            byte[] length = new byte[sizeof(ulong)];
            BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)bytes.Length);
            datagram.Write(length);
            datagram.Write(bytes);
            datagram.WriteByte((byte)'\n');
        }
    }
}
