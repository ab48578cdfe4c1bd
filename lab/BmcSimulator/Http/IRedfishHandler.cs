namespace Evacuator.Lab.BmcSimulator.Http;

/// <summary>Answers the requests that belong to one feature.</summary>
internal interface IRedfishHandler
{
    /// <returns>The answer, or null where the request is not for this handler.</returns>
    Task<RedfishReply?> TryHandleAsync(RedfishRequest request);
}
