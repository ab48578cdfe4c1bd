namespace Evacuator.Redfish.Resources;

/// <summary>
/// Comparing resource URIs. HPE ends every @odata.id with a slash and serves ids in any case, others do neither, so two spellings of one resource
/// are told apart by nothing but <see cref="Key"/>. A URI is always sent exactly as the BMC gave it.
/// </summary>
public static class RedfishUri
{
    /// <summary>The spelling under which a resource is compared and cached: no fragment, no final slash, lower case.</summary>
    public static string Key(string uri)
    {
        ReadOnlySpan<char> rest = WithoutFragment(uri).AsSpan().Trim().TrimEnd('/');
        return rest.ToString().ToLowerInvariant();
    }

    /// <summary>Whether both name the same resource.</summary>
    public static bool Same(string? left, string? right) =>
        left is not null && right is not null && Key(left) == Key(right);

    /// <summary>The part that can be requested: a fragment ("…/Thermal#/Fans/0") points into the body and is never sent.</summary>
    public static string WithoutFragment(string uri)
    {
        int hash = uri.IndexOf('#');
        return hash < 0 ? uri : uri[..hash];
    }

    /// <summary>Whether the URI lies below the other one (or is it).</summary>
    public static bool IsUnder(string uri, string ancestor)
    {
        string key = Key(uri);
        string above = Key(ancestor);
        return key == above || key.StartsWith(above + "/", StringComparison.Ordinal);
    }

    /// <summary>The last path segment: the Id in all trees seen.</summary>
    public static string LastSegment(string uri)
    {
        string trimmed = uri.TrimEnd('/');
        return trimmed[(trimmed.LastIndexOf('/') + 1)..];
    }
}
