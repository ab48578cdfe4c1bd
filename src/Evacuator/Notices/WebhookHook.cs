using System.Net.Http.Json;
using Evacuator.Common.AgentApi;

namespace Evacuator.Notices;

/// <summary>
/// One POST with the notice as JSON. The same notice may come twice, when an answer was lost: its key tells. No redirects, so that a notice goes nowhere else
/// than where the configuration says; the answer is not read.
/// </summary>
internal sealed class WebhookHook(Uri url, TimeSpan timeout, TimeProvider time) : INoticeHook, IDisposable
{
    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = timeout }) { Timeout = Timeout.InfiniteTimeSpan };

    public string Name => "webhook";

    public async Task<string?> DeliverAsync(Notice notice, CancellationToken token)
    {
        using CancellationTokenSource limit = new(timeout, time);
        // Linked: the service's stop; the time limit.
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(token, limit.Token);
        try
        {
            using HttpRequestMessage request = new(HttpMethod.Post, url) { Content = JsonContent.Create(notice, options: ApiJson.Options) };
            request.Headers.Add("Evacuator-Notice", Uri.EscapeDataString(notice.Key));
            using HttpResponseMessage response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, linked.Token).ConfigureAwait(false);
            return response.IsSuccessStatusCode ? null : $"{url.Host} answered {(int)response.StatusCode}";
        }
        catch (HttpRequestException e)
        {
            return $"{url.Host}: {(e.InnerException ?? e).Message}";
        }
        catch (OperationCanceledException) when (!token.IsCancellationRequested)
        {
            return $"{url.Host} did not answer within {timeout.TotalSeconds:0.#} s";
        }
    }

    public void Dispose() => _http.Dispose();
}
