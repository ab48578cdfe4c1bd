using System.Text;

namespace Evacuator.Fleet.Etcd;

/// <summary>
/// The values below a prefix, kept up to date by asking only for what has changed since the last look: a thousand nodes cost a few hundred bytes a look and not a megabyte.
/// </summary>
/// <remarks>
/// An answer has the keys that were changed after the revision of what is known, and how many keys there are in all. What is known with these changes holds every key that is there;
/// if it holds as many as there are, it holds no other. If it holds more, some were deleted, and everything is read again. An etcd that was restored from a copy tells an earlier
/// revision; where that is overlooked, what is known is read anew after <see cref="LongestTrust"/>.
/// Looks may overlap: each builds upon what was known when it began, and the one that ends last is kept.
/// </remarks>
/// <param name="prefix">of the keys</param>
/// <param name="read">null for a value that is not what it should be: its key counts, it does not</param>
internal sealed class EtcdMirror<T>(string prefix, Func<EtcdPair, T?> read, TimeProvider time)
    where T : class
{
    private static readonly TimeSpan LongestTrust = TimeSpan.FromMinutes(5);

    private volatile Known? _known;

    /// <summary>What to build the next answer upon; null: nothing.</summary>
    public Known? Base => _known is { } known && time.GetElapsedTime(known.ReadWholeAt) < LongestTrust ? known : null;

    public EtcdOperation Question(Known? known) => EtcdOperation.Range(EtcdKeys.All(prefix) with { MinModRevision = known is null ? 0 : known.Revision + 1 });

    /// <summary>All values as of the answer; null: some have vanished, ask again without a base.</summary>
    /// <param name="known">that the question was made with</param>
    /// <param name="header">of the answer that <paramref name="answer"/> is a part of</param>
    public IReadOnlyCollection<T>? Take(Known? known, EtcdHeader header, EtcdRangeResponse answer)
    {
        Dictionary<string, T?> values = known?.Values ?? [];
        if (answer.Kvs.Count > 0)
        {
            // The one before may be read just now.
            values = new Dictionary<string, T?>(values, StringComparer.Ordinal);
            foreach (EtcdPair pair in answer.Kvs)
                values[Encoding.UTF8.GetString(pair.Key)] = read(pair);
        }

        bool sound = values.Count == answer.Count && (known is null || known.Revision <= header.Revision && known.Cluster == header.ClusterId);
        _known = sound ? new Known(header.Revision, header.ClusterId, known?.ReadWholeAt ?? time.GetTimestamp(), values) : null;
        return sound ? [.. values.Values.OfType<T>()] : null;
    }

    /// <param name="Revision">as of which it is</param>
    /// <param name="Cluster">that told it</param>
    internal sealed record Known(long Revision, ulong Cluster, long ReadWholeAt, Dictionary<string, T?> Values);
}
