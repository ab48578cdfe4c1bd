namespace Evacuator.Lab.BmcSimulator.Model;

internal static class ResourceUri
{
    /// <summary>The path of a resource without host, query, fragment and final slash; services put the slash as they like.</summary>
    public static string Normalise(string uri)
    {
        string path = Uri.TryCreate(uri, UriKind.Absolute, out Uri? absolute) && absolute.Scheme.StartsWith("http", StringComparison.Ordinal) ? absolute.AbsolutePath : uri;
        int end = path.AsSpan().IndexOfAny('?', '#');
        return (end < 0 ? path : path[..end]).TrimEnd('/');
    }

    public static string Parent(string uri) => uri[..Math.Max(0, uri.LastIndexOf('/'))];

    public static string Id(string uri) => uri[(uri.LastIndexOf('/') + 1)..];

    public static bool IsBelow(string uri, string ancestor) => uri.Length > ancestor.Length && uri[ancestor.Length] == '/' && uri.StartsWith(ancestor, StringComparison.Ordinal);
}
