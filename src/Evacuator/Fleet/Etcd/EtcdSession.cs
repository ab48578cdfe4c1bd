namespace Evacuator.Fleet.Etcd;

/// <summary>This node's lease: keys that hang on it vanish when the node does. Granted when it is first needed, and again when it was lost.</summary>
internal sealed class EtcdSession(EtcdClient client, TimeSpan ttl, TimeProvider time) : IDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private long _lease;
    private long _renewedAt;

    /// <summary>A lease that lives.</summary>
    /// <exception cref="EtcdException">etcd does not answer</exception>
    public async Task<long> LeaseAsync(CancellationToken token)
    {
        await _gate.WaitAsync(token).ConfigureAwait(false);
        try
        {
            // A grant whose answer was lost is a lease without keys, which ends by itself.
            if (_lease == 0)
                (_lease, _renewedAt) = (await client.GrantAsync(ttl, token).ConfigureAwait(false), time.GetTimestamp());
            return _lease;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Renews it when a third of its time is over. False when it was lost: then what hung on it has to be written again.</summary>
    /// <exception cref="EtcdException">etcd does not answer</exception>
    public async Task<bool> RenewAsync(CancellationToken token)
    {
        await _gate.WaitAsync(token).ConfigureAwait(false);
        try
        {
            if (_lease == 0)
                return false;
            if (time.GetElapsedTime(_renewedAt) < ttl / 3)
                return true;
            if (!await client.KeepAliveAsync(_lease, token).ConfigureAwait(false))
            {
                _lease = 0;
                return false;
            }

            _renewedAt = time.GetTimestamp();
            return true;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>After etcd said that it knows no such lease.</summary>
    public void Lost() => Interlocked.Exchange(ref _lease, 0);

    public void Dispose() => _gate.Dispose();
}
