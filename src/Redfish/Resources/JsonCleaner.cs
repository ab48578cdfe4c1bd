using System.Text;

namespace Evacuator.Redfish.Resources;

/// <summary>
/// Repairs what BMCs get wrong in JSON text: raw control characters inside strings (idrac_exporter#192), bytes that are no UTF-8,
/// bare nan and inf for a dead sensor, and NULs after the end. Used only on a body that does not parse as it is.
/// </summary>
internal static class JsonCleaner
{
    private static readonly string[] NoNumbers = ["-infinity", "infinity", "-inf", "+inf", "inf", "-nan", "nan"];

    /// <summary>Without a byte order mark, and without blanks and NULs around.</summary>
    public static ReadOnlySpan<byte> WithoutMarks(ReadOnlySpan<byte> body)
    {
        if (body.StartsWith(Encoding.UTF8.Preamble))
            body = body[Encoding.UTF8.Preamble.Length..];
        return body.Trim("\0 \t\r\n"u8);
    }

    public static byte[] Clean(ReadOnlySpan<byte> body)
    {
        byte[] text = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(body));
        MemoryStream output = new(text.Length + 16);
        bool inString = false;
        for (int at = 0; at < text.Length; at++)
        {
            byte each = text[at];
            if (inString)
            {
                output.WriteByte(each < 0x20 ? (byte)' ' : each);
                if (each == '\\' && at + 1 < text.Length)
                    output.WriteByte(text[++at] < 0x20 ? (byte)' ' : text[at]);
                else if (each == '"')
                    inString = false;
                continue;
            }
            if (each == '"')
                inString = true;
            else if (NoNumberAt(text.AsSpan(at)) is var length and > 0)
            {
                output.Write("null"u8);
                at += length - 1;
                continue;
            }
            output.WriteByte(each is < 0x20 and not ((byte)'\t' or (byte)'\r' or (byte)'\n') ? (byte)' ' : each);
        }
        return output.ToArray();
    }

    private static int NoNumberAt(ReadOnlySpan<byte> rest)
    {
        foreach (string word in NoNumbers)
            if (rest.Length >= word.Length && Ascii.EqualsIgnoreCase(rest[..word.Length], word))
                return word.Length;
        return 0;
    }
}
