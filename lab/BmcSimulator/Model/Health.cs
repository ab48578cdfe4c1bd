namespace Evacuator.Lab.BmcSimulator.Model;

/// <summary>The three values of Status.Health, in order.</summary>
internal static class Health
{
    /// <summary>2 Critical, 1 Warning, 0 OK, -1 anything else.</summary>
    public static int Rank(string? health) => health switch
    {
        "Critical" => 2,
        "Warning" => 1,
        "OK" => 0,
        _ => -1,
    };
}
