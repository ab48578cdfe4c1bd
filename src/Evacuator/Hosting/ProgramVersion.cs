using System.Reflection;

namespace Evacuator.Hosting;

internal static class ProgramVersion
{
    /// <summary>As the package has it, without the commit.</summary>
    public static string Text { get; } =
        (typeof(ProgramVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0").Split('+')[0];
}
