namespace Evacuator.Redfish.Session;

/// <summary>An open body that goes on: events as they happen. Disposing closes the connection.</summary>
internal sealed class BmcStream(HttpResponseMessage response, Stream body) : IAsyncDisposable
{
    public Stream Body => body;

    public async ValueTask DisposeAsync()
    {
        await body.DisposeAsync().ConfigureAwait(false);
        response.Dispose();
    }
}
