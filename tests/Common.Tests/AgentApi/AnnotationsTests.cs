using System.Reflection;
using Evacuator.Common.AgentApi;
using Evacuator.Testing;

namespace Evacuator.Common.Tests.AgentApi;

public sealed class AnnotationsTests
{
    [Fact]
    public void All_HasEachNameOnce()
    {
        IEnumerable<string> names = typeof(Annotations).GetFields(BindingFlags.Public | BindingFlags.Static)
            .Where(field => field.IsLiteral && field.Name != nameof(Annotations.Prefix)).Select(field => (string)field.GetRawConstantValue()!);

        Assert.Equal(names.Order(StringComparer.Ordinal), Annotations.All.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void All_AreInTheTableOfTheReadme()
    {
        string[] table = [.. File.ReadLines(Path.Combine(Prerequisites.ProjectRoot, "README.md")).Where(line => line.StartsWith("| `evacuator.", StringComparison.Ordinal))];

        Assert.All(Annotations.All, name => Assert.Contains(table, line => line.Contains($"`{name}=", StringComparison.Ordinal)));
        // And nothing else is promised there.
        Assert.All(table, line => Assert.Contains(Annotations.All, name => line.StartsWith($"| `{name}=", StringComparison.Ordinal)));
    }

    /// <summary>A name that is written out somewhere is one that the list does not know one day.</summary>
    [Fact]
    public void Sources_NameThemByThisListAlone()
    {
        string sources = Path.Combine(Prerequisites.ProjectRoot, "src");
        IEnumerable<string> literals = from file in Directory.EnumerateFiles(sources, "*.cs", SearchOption.AllDirectories)
                                       where !file.Contains("/obj/", StringComparison.Ordinal)
                                       from line in File.ReadLines(file)
                                       where Annotations.All.Any(name => line.Contains($"\"{name}\"", StringComparison.Ordinal))
                                       select $"{file}: {line}";

        Assert.Empty(literals);
    }
}
