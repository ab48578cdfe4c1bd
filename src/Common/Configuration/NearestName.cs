namespace Evacuator.Common.Configuration;

/// <summary>Finds what a mistyped name was probably meant to be.</summary>
public static class NearestName
{
    /// <summary>The known name within a third of the written one's length in edits, or null.</summary>
    public static string? Find(string written, IEnumerable<string> known)
    {
        string? best = null;
        int bestDistance = Math.Max(1, written.Length / 3) + 1;
        foreach (string name in known)
        {
            int distance = Distance(written.ToLowerInvariant().Replace('_', '-'), name);
            if (distance < bestDistance)
                (best, bestDistance) = (name, distance);
        }

        return best;
    }

    /// <summary>Levenshtein's distance, by rows.</summary>
    private static int Distance(string a, string b)
    {
        int[] above = new int[b.Length + 1];
        int[] row = new int[b.Length + 1];
        for (int j = 0; j <= b.Length; j++)
            above[j] = j;
        for (int i = 1; i <= a.Length; i++)
        {
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
                row[j] = Math.Min(Math.Min(row[j - 1], above[j]) + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
            (above, row) = (row, above);
        }

        return above[b.Length];
    }
}
