namespace Evacuator.Fleet.Etcd;

/// <summary>etcd did not do what it was asked.</summary>
/// <param name="certain">true: nothing was changed; false: nobody knows, read again before you act</param>
internal sealed class EtcdException(string message, bool certain, Exception? inner = null) : Exception(message, inner)
{
    public bool IsCertain { get; } = certain;
}
