namespace Evacuator.Common.Fleet;

/// <summary>Names of nodes: they stand in certificates, file names and host names, so they follow DNS.</summary>
public static class NodeName
{
    /// <summary>To end the sentence "must be …".</summary>
    public const string Permitted = "a host name: lower-case letters, digits, hyphens and dots, at most 63 characters";

    public static bool IsValid(string name) => name.Length is > 0 and <= 63 && name.Split('.').All(IsLabel);

    private static bool IsLabel(string label) =>
        label.Length > 0 && label[0] != '-' && label[^1] != '-' && label.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-');
}
