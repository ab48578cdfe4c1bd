using System.Runtime.InteropServices;

namespace Evacuator.Common.Hosting;

/// <summary>The host's users and groups, asked of libc, so that every NSS source counts.</summary>
public static unsafe class Accounts
{
    /// <summary>The user of the brain and the group of the operators.</summary>
    public const string Service = "evacuator";

    private const int FirstBuffer = 1024;

    private const int LargestBuffer = 1024 * 1024;

    public static bool IsRoot => Interop.GetEffectiveUserId() == 0;

    /// <summary>Null if there is no such user.</summary>
    public static uint? UserId(string name)
    {
        uint? found = null;
        WithBuffer((buffer, length) =>
        {
            Interop.Passwd entry;
            Interop.Passwd* result;
            int error = Interop.GetPasswordByName(name, &entry, buffer, length, &result);
            found = error == 0 && result is not null ? entry.Uid : null;
            return error;
        });
        return found;
    }

    /// <summary>Null if there is no such group.</summary>
    public static uint? GroupId(string name)
    {
        uint? found = null;
        WithBuffer((buffer, length) =>
        {
            Interop.Group entry;
            Interop.Group* result;
            int error = Interop.GetGroupByName(name, &entry, buffer, length, &result);
            found = error == 0 && result is not null ? entry.Gid : null;
            return error;
        });
        return found;
    }

    /// <summary>The user's name, or the number in digits if it has none.</summary>
    public static string UserName(uint uid)
    {
        string? found = null;
        WithBuffer((buffer, length) =>
        {
            Interop.Passwd entry;
            Interop.Passwd* result;
            int error = Interop.GetPasswordById(uid, &entry, buffer, length, &result);
            found = error == 0 && result is not null ? Marshal.PtrToStringUTF8((nint)entry.Name) : null;
            return error;
        });
        return found ?? uid.ToString(System.Globalization.CultureInfo.InvariantCulture);
    }

    private delegate int Lookup(byte* buffer, nuint length);

    /// <summary>ERANGE says that the entry (a group with many members) needs a larger buffer.</summary>
    private static void WithBuffer(Lookup lookup)
    {
        for (int size = FirstBuffer; size <= LargestBuffer; size *= 4)
        {
            byte[] buffer = new byte[size];
            fixed (byte* start = buffer)
            {
                if (lookup(start, (nuint)size) != Interop.ERANGE)
                    return;
            }
        }
    }
}
