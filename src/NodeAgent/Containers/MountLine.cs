using System.Globalization;
using System.Text;

namespace Evacuator.NodeAgent.Containers;

/// <summary>A line of /proc/PID/mountinfo.</summary>
/// <param name="Id">as mnt_id in /proc/PID/fdinfo</param>
/// <param name="Root">of the mount within its file system; for a namespace its name, e.g. net:[4026532281]</param>
/// <param name="Point">where it is mounted, in the reader's root</param>
internal readonly record struct MountLine(int Id, uint Major, uint Minor, string Root, string Point, string Type, string Source)
{
    /// <summary>
    /// "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw": id, parent, device, root, mount point, options, optional fields up to
    /// a dash, type, source, options. Space, tab, newline and backslash are written as octal.
    /// </summary>
    internal static bool TryParse(string line, out MountLine mount)
    {
        mount = default;
        string[] fields = line.Split(' ');
        int dash = Array.IndexOf(fields, "-", Math.Min(6, fields.Length));
        if (dash < 0 || fields.Length < dash + 3)
            return false;
        string[] device = fields[2].Split(':');
        if (device.Length != 2 || !int.TryParse(fields[0], NumberStyles.None, CultureInfo.InvariantCulture, out int id)
            || !uint.TryParse(device[0], NumberStyles.None, CultureInfo.InvariantCulture, out uint major)
            || !uint.TryParse(device[1], NumberStyles.None, CultureInfo.InvariantCulture, out uint minor))
            return false;
        mount = new MountLine(id, major, minor, Unescape(fields[3]), Unescape(fields[4]), fields[dash + 1], Unescape(fields[dash + 2]));
        return true;
    }

    private static string Unescape(string text)
    {
        if (!text.Contains('\\'))
            return text;
        StringBuilder plain = new();
        for (int i = 0; i < text.Length; i++)
            if (text[i] == '\\' && i + 3 < text.Length && text[i + 1] is >= '0' and <= '3' && text[i + 2] is >= '0' and <= '7' && text[i + 3] is >= '0' and <= '7')
            {
                plain.Append((char)((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')));
                i += 3;
            }
            else
            {
                plain.Append(text[i]);
            }
        return plain.ToString();
    }
}
