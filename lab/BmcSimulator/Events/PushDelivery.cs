using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Evacuator.Lab.BmcSimulator.Faults;
using Evacuator.Lab.BmcSimulator.Model;
using Microsoft.Extensions.Logging;

namespace Evacuator.Lab.BmcSimulator.Events;

/// <summary>How often and how long apart a failing delivery is tried again.</summary>
internal readonly record struct RetryRule(int Attempts, TimeSpan Interval);

/// <summary>
/// Posts events to the subscribers, each in its own order. A delivery counts only when it is answered 2xx within five seconds. When the retries
/// are used up the subscription is deleted, suspended or kept, as its DeliveryRetryPolicy says (deleted if it says nothing).
/// </summary>
internal sealed partial class PushDelivery(
    SubscriptionTable subscriptions, Func<RetryRule> retryRule, FaultMenu faults, TimeProvider time, ILogger<PushDelivery> logger) : IAsyncDisposable
{
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(5);
    private const int QueueLength = 100;

    private readonly CancellationTokenSource _stop = new();
    private readonly HttpClient _verifying = new(new SocketsHttpHandler()) { Timeout = AnswerLimit };
    private readonly HttpClient _trusting = new(new SocketsHttpHandler { SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true } }) { Timeout = AnswerLimit };
    private readonly ConcurrentDictionary<Subscription, Worker> _workers = new();

    // Events wait in a queue that drops its oldest: push is lossy, as on real BMCs.
    private sealed record Worker(Channel<byte[]> Queue, Task Task);

    public void Send(JsonObject payload)
    {
        if (faults.IsActive(FaultKind.PushSilent))
        {
            return;
        }

        foreach (Subscription subscription in subscriptions.List().Where(subscription => !subscription.Suspended))
        {
            if (Select(payload, subscription) is { } selected)
            {
                _workers.GetOrAdd(subscription, StartWorker).Queue.Writer.TryWrite(faults.Apply(JsonText.Bytes(selected)));
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_workers.Values.Select(worker => worker.Task));
        _verifying.Dispose();
        _trusting.Dispose();
        _stop.Dispose();
    }

    private static JsonObject? Select(JsonObject payload, Subscription subscription)
    {
        var copy = (JsonObject)payload.DeepClone();
        if (copy.Get("Events") is JsonArray records)
        {
            JsonNode?[] wanted = [.. records.Where(record => record is not JsonObject map || subscription.Wants(map)).Select(record => record?.DeepClone())];
            if (wanted.Length == 0)
            {
                return null;
            }

            copy["Events"] = new JsonArray(wanted);
        }

        if (subscription.Context is { } context)
        {
            copy["Context"] = context;
        }

        return copy;
    }

    private Worker StartWorker(Subscription subscription)
    {
        var queue = Channel.CreateBounded<byte[]>(new BoundedChannelOptions(QueueLength) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
        return new Worker(queue, Task.Run(() => RunAsync(subscription, queue.Reader)));
    }

    private async Task RunAsync(Subscription subscription, ChannelReader<byte[]> queue)
    {
        try
        {
            await foreach (byte[] body in queue.ReadAllAsync(_stop.Token))
            {
                if (!await DeliverAsync(subscription, body) && !GiveUp(subscription))
                {
                    return;
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The service stops.
        }
        finally
        {
            _workers.TryRemove(subscription, out _);
        }
    }

    /// <returns>False when every attempt has failed.</returns>
    private async Task<bool> DeliverAsync(Subscription subscription, byte[] body)
    {
        RetryRule rule = retryRule();
        for (int attempt = 0; subscriptions.Contains(subscription); attempt++)
        {
            if (await PostAsync(subscription, body))
            {
                return true;
            }

            if (attempt >= rule.Attempts)
            {
                return false;
            }

            await Task.Delay(rule.Interval, time, _stop.Token);
        }

        return true; // Deleted meanwhile; nobody waits for it.
    }

    private async Task<bool> PostAsync(Subscription subscription, byte[] body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, subscription.Destination) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        foreach ((string name, JsonNode? value) in subscription.Body.Get("HttpHeaders") is JsonArray headers ? headers.OfType<JsonObject>().SelectMany(header => header) : [])
        {
            request.Headers.TryAddWithoutValidation(name, value.Text());
        }

        try
        {
            using HttpResponseMessage answer = await (subscription.VerifyCertificate ? _verifying : _trusting).SendAsync(request, _stop.Token);
            return answer.IsSuccessStatusCode;
        }
        catch (Exception error) when (error is HttpRequestException or IOException || (error is OperationCanceledException && !_stop.IsCancellationRequested))
        {
            LogNotDelivered(error.Message, subscription.Id);
            return false;
        }
    }

    /// <returns>True where the subscription goes on with the next event.</returns>
    private bool GiveUp(Subscription subscription)
    {
        LogGaveUp(subscription.Id, subscription.RetryPolicy);
        switch (subscription.RetryPolicy)
        {
            case "RetryForever":
                return true;
            case "SuspendRetries":
                subscription.Suspended = true;
                return false;
            default:
                subscriptions.Remove(subscription.Id);
                return false;
        }
    }
}
