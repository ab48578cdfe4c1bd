using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Evacuator.Testing;

namespace Evacuator.Common.Tests.Hosting;

/// <summary>The C compiler compares our copies of libc's structures and constants with the headers of this machine.</summary>
public sealed unsafe class InteropTests
{
    [Fact]
    public void Structures_AndConstants_AgreeWithTheHeaders()
    {
        List<string> asserts = [];
        Size<Interop.Passwd>("struct passwd");
        Field<Interop.Passwd>("struct passwd", nameof(Interop.Passwd.Name), "pw_name");
        Field<Interop.Passwd>("struct passwd", nameof(Interop.Passwd.Password), "pw_passwd");
        Field<Interop.Passwd>("struct passwd", nameof(Interop.Passwd.Uid), "pw_uid");
        Field<Interop.Passwd>("struct passwd", nameof(Interop.Passwd.Gid), "pw_gid");
        Field<Interop.Passwd>("struct passwd", nameof(Interop.Passwd.Gecos), "pw_gecos");
        Field<Interop.Passwd>("struct passwd", nameof(Interop.Passwd.Directory), "pw_dir");
        Field<Interop.Passwd>("struct passwd", nameof(Interop.Passwd.Shell), "pw_shell");
        Size<Interop.Group>("struct group");
        Field<Interop.Group>("struct group", nameof(Interop.Group.Name), "gr_name");
        Field<Interop.Group>("struct group", nameof(Interop.Group.Password), "gr_passwd");
        Field<Interop.Group>("struct group", nameof(Interop.Group.Gid), "gr_gid");
        Field<Interop.Group>("struct group", nameof(Interop.Group.Members), "gr_mem");
        Size<Interop.IoVector>("struct iovec");
        Field<Interop.IoVector>("struct iovec", nameof(Interop.IoVector.Base), "iov_base");
        Field<Interop.IoVector>("struct iovec", nameof(Interop.IoVector.Length), "iov_len");
        Size<Interop.MessageHeader>("struct msghdr");
        Field<Interop.MessageHeader>("struct msghdr", nameof(Interop.MessageHeader.Name), "msg_name");
        Field<Interop.MessageHeader>("struct msghdr", nameof(Interop.MessageHeader.NameLength), "msg_namelen");
        Field<Interop.MessageHeader>("struct msghdr", nameof(Interop.MessageHeader.Vectors), "msg_iov");
        Field<Interop.MessageHeader>("struct msghdr", nameof(Interop.MessageHeader.VectorCount), "msg_iovlen");
        Field<Interop.MessageHeader>("struct msghdr", nameof(Interop.MessageHeader.Control), "msg_control");
        Field<Interop.MessageHeader>("struct msghdr", nameof(Interop.MessageHeader.ControlLength), "msg_controllen");
        Field<Interop.MessageHeader>("struct msghdr", nameof(Interop.MessageHeader.Flags), "msg_flags");
        asserts.Add($"_Static_assert(CMSG_SPACE(sizeof(int)) == {sizeof(Interop.DescriptorMessage)}, \"DescriptorMessage\");");
        asserts.Add($"_Static_assert(CMSG_LEN(0) == {Marshal.OffsetOf<Interop.DescriptorMessage>(nameof(Interop.DescriptorMessage.Descriptor))}, \"Descriptor\");");
        Field<Interop.DescriptorMessage>("struct cmsghdr", nameof(Interop.DescriptorMessage.Length), "cmsg_len");
        Field<Interop.DescriptorMessage>("struct cmsghdr", nameof(Interop.DescriptorMessage.Level), "cmsg_level");
        Field<Interop.DescriptorMessage>("struct cmsghdr", nameof(Interop.DescriptorMessage.Type), "cmsg_type");
        Size<Interop.Credentials>("struct ucred");
        Field<Interop.Credentials>("struct ucred", nameof(Interop.Credentials.Pid), "pid");
        Field<Interop.Credentials>("struct ucred", nameof(Interop.Credentials.Uid), "uid");
        Field<Interop.Credentials>("struct ucred", nameof(Interop.Credentials.Gid), "gid");
        foreach ((string name, long value) in new[]
                 {
                     ("ERANGE", Interop.ERANGE), ("SOL_SOCKET", Interop.SOL_SOCKET), ("SCM_RIGHTS", Interop.SCM_RIGHTS),
                     ("SO_PEERCRED", Interop.SO_PEERCRED), ("MSG_NOSIGNAL", (long)Interop.MSG_NOSIGNAL),
                 })
            asserts.Add($"_Static_assert({name} == {value}, \"{name}\");");

        using TemporaryFolder folder = new();
        string source = Path.Combine(folder.Path, "check.c");
        File.WriteAllText(source, "#define _GNU_SOURCE\n#include <errno.h>\n#include <grp.h>\n#include <pwd.h>\n#include <stddef.h>\n#include <sys/socket.h>\n" + string.Join('\n', asserts) + "\n");
        using Process compiler = Process.Start(new ProcessStartInfo("gcc", ["-fsyntax-only", source]) { RedirectStandardError = true })!;
        string errors = compiler.StandardError.ReadToEnd();
        compiler.WaitForExit();
        Assert.True(compiler.ExitCode == 0, errors);

        void Size<T>(string name)
            where T : unmanaged => asserts.Add($"_Static_assert(sizeof({name}) == {Unsafe.SizeOf<T>()}, \"{typeof(T).Name}\");");

        void Field<T>(string name, string field, string member)
            where T : unmanaged => asserts.Add($"_Static_assert(offsetof({name}, {member}) == {Marshal.OffsetOf<T>(field)}, \"{typeof(T).Name}.{field}\");");
    }
}
