namespace Evacuator.Simulation;

/// <summary>How many questions etcd got from all nodes, and how much it answered.</summary>
internal sealed class CountingHandler(HttpMessageHandler inner, SimulationResult result) : DelegatingHandler(inner)
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        HttpResponseMessage response = await base.SendAsync(request, cancellationToken);
        await response.Content.LoadIntoBufferAsync(cancellationToken);
        result.Asked(response.Content.Headers.ContentLength ?? 0);
        return response;
    }
}
