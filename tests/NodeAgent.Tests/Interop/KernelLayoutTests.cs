using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using Evacuator.NodeAgent.Tests.Memory;
using Evacuator.Testing;
using static Evacuator.NodeAgent.Interop;

namespace Evacuator.NodeAgent.Tests.InteropLayout;

/// <summary>A test that needs gcc and kernel headers as new as everything the agent uses (6.15).</summary>
public sealed class RecentHeadersFactAttribute : FactAttribute
{
    public RecentHeadersFactAttribute() => Skip = KernelHeaders.WhyNoCompiler
        ?? (KernelHeaders.Recent is null ? "needs headers of kernel 6.15 or later: run tests/NodeAgent.Tests/Interop/fetch-kernel-headers.sh" : null);
}

public sealed class CompilerFactAttribute : FactAttribute
{
    public CompilerFactAttribute() => Skip = KernelHeaders.WhyNoCompiler;
}

internal static class KernelHeaders
{
    public static string? WhyNoCompiler { get; } = File.Exists("/usr/bin/gcc") ? null : "needs gcc: apt-get install gcc libc6-dev";

    public static string? Recent { get; } = Find();

    private static string? Find()
    {
        foreach (string folder in (string[])[Path.Combine(Prerequisites.ProjectRoot, "artifacts", "kernel-headers", "usr", "include"), "/usr/include"])
            if (File.Exists(Path.Combine(folder, "linux", "fs.h")) && File.ReadAllText(Path.Combine(folder, "linux", "fs.h")).Contains("PAGE_IS_GUARD", StringComparison.Ordinal))
                return folder;
        return null;
    }
}

/// <summary>Every struct and constant in Interop, turned into static asserts and given to the C compiler.</summary>
public sealed class KernelLayoutTests
{
    private const BindingFlags Everything = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    /// <summary>Whatever is public in Interop and goes by the kernel's own names: constants, and structs in lower case. Groups with names of their own are their users' to prove.</summary>
    [Fact]
    public void Definitions_UnderKernelNames_AllSayWhichHeaderDeclaresThem()
    {
        foreach (Type type in typeof(NodeAgent.Interop).GetNestedTypes().Where(type => type.IsNestedPublic))
        {
            if (type.IsValueType && char.IsLower(type.Name[0]))
                Assert.True(type.GetCustomAttribute<KernelStructAttribute>() is not null, $"{type.Name} has no [KernelStruct]: nothing proves it");
            if (type.IsAbstract && type.GetFields(Everything).Any(field => field.IsLiteral))
                Assert.True(type.GetCustomAttribute<KernelConstantsAttribute>() is not null, $"{type.Name} has no [KernelConstants]: nothing proves it");
        }
    }

    [CompilerFact]
    public void Definitions_AgainstInstalledHeaders_AreEqual() => Compile(Generate(guarded: true), include: null);

    [RecentHeadersFact]
    public void Definitions_AgainstRecentHeaders_AreEqualWithNothingLeftOut() => Compile(Generate(guarded: false), KernelHeaders.Recent);

    [CompilerFact]
    public void Definitions_WithAWrongNumber_DoNotCompile()
    {
        Dictionary<string, StringBuilder> units = Generate(guarded: true);
        units["linux/userfaultfd.h"].Replace($"(unsigned long long)({nameof(UserFault.UFFDIO_REGISTER)}) == {UserFault.UFFDIO_REGISTER}ULL", $"(unsigned long long)({nameof(UserFault.UFFDIO_REGISTER)}) == {UserFault.UFFDIO_REGISTER + 1}ULL");
        Assert.ThrowsAny<Xunit.Sdk.XunitException>(() => Compile(units, include: null));
    }

    /// <summary>One unit per set of headers, since libc's and the kernel's own collide.</summary>
    private static Dictionary<string, StringBuilder> Generate(bool guarded)
    {
        Dictionary<string, StringBuilder> units = [];
        int asserts = 0;
        foreach (Type type in typeof(NodeAgent.Interop).GetNestedTypes(Everything))
        {
            if (type.GetCustomAttribute<KernelStructAttribute>() is { } layout)
            {
                StringBuilder unit = Unit(layout.Headers);
                if (guarded && layout.Guard is not null)
                    unit.AppendLine(CultureInfo.InvariantCulture, $"#ifdef {layout.Guard}");
                Say(unit, $"sizeof({layout.Type}) == {SizeOf(type)}", $"size of {type.Name}");
                foreach (FieldInfo field in type.GetFields(Everything).Where(field => !field.IsStatic))
                {
                    Say(unit, $"__builtin_offsetof({layout.Type}, {field.Name}) == {Marshal.OffsetOf(type, field.Name)}", $"offset of {type.Name}.{field.Name}");
                    Say(unit, $"sizeof((({layout.Type} *)0)->{field.Name}) == {SizeOf(field.FieldType)}", $"size of {type.Name}.{field.Name}");
                }
                if (guarded && layout.Guard is not null)
                    unit.AppendLine("#endif");
            }
            else if (type.GetCustomAttribute<KernelConstantsAttribute>() is { } constants)
            {
                foreach (FieldInfo field in type.GetFields(Everything).Where(field => field.IsLiteral && field.GetCustomAttribute<KernelInternalAttribute>() is null))
                {
                    StringBuilder unit = Unit(constants.Headers);
                    bool isGuarded = guarded && field.GetCustomAttribute<SinceAttribute>() is not null;
                    if (isGuarded)
                        unit.AppendLine(CultureInfo.InvariantCulture, $"#ifdef {field.Name}");
                    ulong value = unchecked((ulong)Convert.ToInt64(field.GetRawConstantValue() is ulong wide ? (long)wide : field.GetRawConstantValue(), CultureInfo.InvariantCulture));
                    Say(unit, $"(unsigned long long)({field.Name}) == {value}ULL", field.Name);
                    if (isGuarded)
                        unit.AppendLine("#endif");
                }
            }
        }
        Assert.True(asserts > 150, $"only {asserts} asserts: the generator misses definitions");
        return units;

        StringBuilder Unit(string headers)
        {
            if (units.TryGetValue(headers, out StringBuilder? unit))
                return unit;
            unit = new StringBuilder("#define _GNU_SOURCE\n#include <linux/ioctl.h>\n");
            foreach (string header in headers.Split(' '))
                unit.AppendLine(CultureInfo.InvariantCulture, $"#include <{header}>");
            return units[headers] = unit;
        }

        void Say(StringBuilder unit, string condition, string what)
        {
            unit.AppendLine(CultureInfo.InvariantCulture, $"_Static_assert({condition}, \"{what}\");");
            asserts++;
        }
    }

    private static int SizeOf(Type type) => type.IsPointer ? 8 : Marshal.SizeOf(type);

    private static void Compile(Dictionary<string, StringBuilder> units, string? include)
    {
        foreach ((string headers, StringBuilder text) in units)
        {
            string[] options = include is null ? [] : ["-isystem", Path.Combine(include, "x86_64-linux-gnu"), "-isystem", include];
            using Process gcc = Process.Start(new ProcessStartInfo("gcc", ["-fsyntax-only", "-x", "c", .. options, "-"]) { RedirectStandardInput = true, RedirectStandardError = true })!;
            gcc.StandardInput.Write(text);
            gcc.StandardInput.Close();
            string errors = gcc.StandardError.ReadToEnd();
            gcc.WaitForExit();
            Assert.True(gcc.ExitCode == 0, $"{headers}:\n{errors}");
        }
    }
}
