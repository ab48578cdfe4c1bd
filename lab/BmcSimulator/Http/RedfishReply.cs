namespace Evacuator.Lab.BmcSimulator.Http;

/// <summary>An answer that has not been sent yet.</summary>
internal sealed record RedfishReply(int Status, ReadOnlyMemory<byte> Body)
{
    /// <summary>The handler has sent the answer itself.</summary>
    public static readonly RedfishReply Streamed = new(200, ReadOnlyMemory<byte>.Empty);

    public static RedfishReply NoContent => new(204, ReadOnlyMemory<byte>.Empty);

    public Dictionary<string, string> Headers { get; } = [];

    public RedfishReply With(string header, string value)
    {
        Headers[header] = value;
        return this;
    }
}
