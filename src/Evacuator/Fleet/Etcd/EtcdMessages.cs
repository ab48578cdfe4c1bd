using System.Text.Json;
using System.Text.Json.Serialization;

namespace Evacuator.Fleet.Etcd;

/// <summary>
/// What of etcd's v3 interface is used, as its JSON gateway spells it (etcd's rpc.proto): keys and values are base64, 64-bit numbers are strings, and what is zero or empty is
/// left out.
/// </summary>
internal static class EtcdJson
{
    public static JsonSerializerOptions Options { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        NumberHandling = JsonNumberHandling.AllowReadingFromString | JsonNumberHandling.WriteAsString,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
        // A lease in a range answer or the like may hold more one day; depth and size are bounded by the client.
        MaxDepth = 16,
    };
}

internal sealed record EtcdHeader
{
    public ulong ClusterId { get; init; }

    public long Revision { get; init; }
}

/// <summary>One key as it stands.</summary>
internal sealed record EtcdPair
{
    public byte[] Key { get; init; } = [];

    public byte[] Value { get; init; } = [];

    public long CreateRevision { get; init; }

    public long ModRevision { get; init; }

    public long Lease { get; init; }
}

internal sealed record EtcdRangeRequest
{
    public required byte[] Key { get; init; }

    /// <summary>The first key that is not meant any more; null: <see cref="Key"/> alone.</summary>
    public byte[]? RangeEnd { get; init; }

    public long Limit { get; init; }

    /// <summary>As of that revision; 0: now.</summary>
    public long Revision { get; init; }

    /// <summary>Only keys that were changed at that revision or later; <see cref="EtcdRangeResponse.Count"/> is of all. 0: all.</summary>
    public long MinModRevision { get; init; }

    public bool CountOnly { get; init; }

    public bool KeysOnly { get; init; }
}

internal sealed record EtcdRangeResponse
{
    public EtcdHeader Header { get; init; } = new();

    public IReadOnlyList<EtcdPair> Kvs { get; init; } = [];

    public bool More { get; init; }

    /// <summary>Of all keys in the range, also those beyond the limit, and those that were not changed lately.</summary>
    public long Count { get; init; }
}

internal sealed record EtcdPutRequest
{
    public required byte[] Key { get; init; }

    public byte[] Value { get; init; } = [];

    /// <summary>0: the key stays until it is deleted.</summary>
    public long Lease { get; init; }
}

internal sealed record EtcdDeleteRequest
{
    public required byte[] Key { get; init; }

    public byte[]? RangeEnd { get; init; }
}

/// <summary>A condition of a transaction: on the revision of a key's creation (0: there is no such key) or of its last change.</summary>
internal sealed record EtcdCompare
{
    public required string Target { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string Result { get; init; } = "EQUAL";

    public required byte[] Key { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? CreateRevision { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? ModRevision { get; init; }

    /// <summary>The key is as it was read; 0: it is not there.</summary>
    public static EtcdCompare Unchanged(byte[] key, long modRevision) => new() { Target = "MOD", Key = key, ModRevision = modRevision };
}

/// <summary>One of the three.</summary>
internal sealed record EtcdOperation
{
    public EtcdRangeRequest? RequestRange { get; init; }

    public EtcdPutRequest? RequestPut { get; init; }

    public EtcdDeleteRequest? RequestDeleteRange { get; init; }

    public static EtcdOperation Range(EtcdRangeRequest request) => new() { RequestRange = request };

    public static EtcdOperation Put(byte[] key, byte[] value, long lease = 0) => new() { RequestPut = new EtcdPutRequest { Key = key, Value = value, Lease = lease } };

    public static EtcdOperation Delete(byte[] key) => new() { RequestDeleteRange = new EtcdDeleteRequest { Key = key } };
}

internal sealed record EtcdTxnRequest
{
    public IReadOnlyList<EtcdCompare>? Compare { get; init; }

    public IReadOnlyList<EtcdOperation>? Success { get; init; }

    public IReadOnlyList<EtcdOperation>? Failure { get; init; }
}

internal sealed record EtcdTxnResponse
{
    public EtcdHeader Header { get; init; } = new();

    /// <summary>Which branch was taken: all conditions held.</summary>
    public bool Succeeded { get; init; }

    public IReadOnlyList<EtcdOperationResponse> Responses { get; init; } = [];
}

internal sealed record EtcdOperationResponse
{
    public EtcdRangeResponse? ResponseRange { get; init; }
}

internal sealed record EtcdLeaseRequest
{
    [JsonPropertyName("ID")]
    public long Id { get; init; }

    /// <summary>Seconds.</summary>
    [JsonPropertyName("TTL")]
    public long Ttl { get; init; }
}

internal sealed record EtcdLease
{
    [JsonPropertyName("ID")]
    public long Id { get; init; }

    /// <summary>Seconds; 0: it is over, or there is no such lease.</summary>
    [JsonPropertyName("TTL")]
    public long Ttl { get; init; }
}

/// <summary>The gateway wraps answers of etcd's streams.</summary>
internal sealed record EtcdStreamed<T>(T? Result);

internal sealed record EtcdNothing;

internal sealed record EtcdError
{
    public string? Message { get; init; }

    public string? Error { get; init; }

    /// <summary>Of gRPC.</summary>
    public int Code { get; init; }
}
