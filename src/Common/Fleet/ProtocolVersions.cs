using System.Globalization;
using System.Net;

namespace Evacuator.Common.Fleet;

/// <summary>
/// The versions of a protocol between nodes that this build speaks: its own and the one before, so that a fleet is upgraded node by node. The caller states in each request the
/// version that it speaks, its own at first; who does not speak it answers 426 with those that he does, and the caller takes the highest that both have, or says which there are.
/// </summary>
/// <remarks>
/// <code>
/// version   between brains                                              between agents
/// 1         the first                                                   the first; arm and stopped may be missing
/// 2         the fleet's signed list, the witness's signed statement     arm and stopped are there
/// </code>
/// What a version brings is only left out towards a peer of the one before. A 426 without the header <see cref="RangeHeader"/> comes from version 1.
/// </remarks>
public sealed record ProtocolVersions(int Oldest, int Current)
{
    /// <summary>Of a request: the version that it is written in.</summary>
    public const string Header = "Evacuator-Protocol";

    /// <summary>Of a 426: oldest-current, those that the answering node speaks.</summary>
    public const string RangeHeader = "Evacuator-Protocols";

    public static ProtocolVersions Brains { get; } = new(1, 2);

    public static ProtocolVersions Agents { get; } = new(1, 2);

    public string Range => string.Create(CultureInfo.InvariantCulture, $"{Oldest}-{Current}");

    /// <summary>The version of a request, or null if it states none that is spoken here.</summary>
    public int? Read(string? stated) =>
        int.TryParse(stated, NumberStyles.None, CultureInfo.InvariantCulture, out int version) && version >= Oldest && version <= Current ? version : null;

    /// <summary>For who states a version that is not spoken here: both sides' versions, and what to do.</summary>
    /// <param name="self">this node and its program</param>
    public string Refusal(string self, string? stated)
    {
        string theirs = stated is { Length: > 0 and < 20 } && int.TryParse(stated, NumberStyles.None, CultureInfo.InvariantCulture, out int version) ? $"protocol {version}" : "no known protocol";
        return $"{self} speaks protocol {Describe()}, the caller speaks {theirs}: nodes work together when they are at most one protocol apart, so upgrade the older one, one release after the other";
    }

    /// <summary>What to speak with a node that refused; null if there is nothing in common.</summary>
    /// <param name="range">its <see cref="RangeHeader"/>; null if it sent none</param>
    public int? Agree(string? range)
    {
        // Before there were two versions, there was one, and no range.
        if (range is null)
            return Oldest <= 1 ? 1 : null;
        if (range.Split('-') is not [var from, var to]
            || !int.TryParse(from, NumberStyles.None, CultureInfo.InvariantCulture, out int oldest) || !int.TryParse(to, NumberStyles.None, CultureInfo.InvariantCulture, out int current))
            return null;
        int common = Math.Min(current, Current);
        return common >= oldest && common >= Oldest ? common : null;
    }

    /// <summary>Whether a node whose own version is this one can be spoken with: each speaks the one before, too.</summary>
    public bool WorksWith(int version) => version >= Oldest && version <= Current + 1;

    public string Describe() => Oldest == Current ? $"{Current}" : $"{Current} and {Oldest}";
}

/// <summary>States the version in each request to one node and, when that node speaks another, agrees with it on one and asks again. What was agreed holds until it is refused.</summary>
/// <param name="own">what this node speaks</param>
public sealed class ProtocolHandler(ProtocolVersions own, HttpMessageHandler inner) : DelegatingHandler(inner)
{
    private volatile int _version = own.Current;

    /// <summary>The version that is spoken with that node, as far as it is known.</summary>
    public int Version => _version;

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        int version = _version;
        HttpResponseMessage response = await SendAsync(request, version, cancellationToken).ConfigureAwait(false);
        if (response.StatusCode != HttpStatusCode.UpgradeRequired)
            return response;
        string? range = response.Headers.TryGetValues(ProtocolVersions.RangeHeader, out IEnumerable<string>? values) ? values.FirstOrDefault() : null;
        if (own.Agree(range) is not { } agreed || agreed == version)
            return response;
        response.Dispose();
        // A stream is never the first thing that is sent, so what has to be sent again here can be.
        response = await SendAsync(request, agreed, cancellationToken).ConfigureAwait(false);
        if (response.StatusCode != HttpStatusCode.UpgradeRequired)
            _version = agreed;
        return response;
    }

    private Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, int version, CancellationToken token)
    {
        request.Headers.Remove(ProtocolVersions.Header);
        request.Headers.Add(ProtocolVersions.Header, version.ToString(CultureInfo.InvariantCulture));
        return base.SendAsync(request, token);
    }
}
