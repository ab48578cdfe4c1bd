namespace Evacuator.Redfish.Resources;

/// <summary>Reads one resource by its URI. An implementation never throws for what a BMC does, only for a cancelled token.</summary>
public interface IResourceReader
{
    /// <param name="uri">As the BMC gave it: a path, with its query string if it has one; never with a fragment.</param>
    /// <param name="cancel">The caller's wish to stop.</param>
    Task<ReadResult> ReadAsync(string uri, CancellationToken cancel);
}
