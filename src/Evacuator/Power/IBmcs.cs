using Evacuator.Fleet;

namespace Evacuator.Power;

/// <summary>The way to management controllers: our own and, as a witness, those of others.</summary>
internal interface IBmcs
{
    /// <summary>Connects, checks the certificate, logs in and finds the host's system. No exception for what can go wrong at a BMC.</summary>
    Task<BmcOpening> OpenAsync(BmcAccess access, CancellationToken token);
}

/// <param name="Bmc">null when it could not be opened; the caller disposes it</param>
/// <param name="Problem">why not, in words; empty when opened</param>
internal sealed record BmcOpening(IBmc? Bmc, string Problem);

/// <summary>One management controller, logged in to.</summary>
internal interface IBmc : IAsyncDisposable
{
    Task<PowerLook> ReadPowerAsync(CancellationToken token);

    /// <summary>Reads until two reads in a row say Off, for at most <paramref name="timeout"/>.</summary>
    Task<OffLook> VerifyOffAsync(TimeSpan interval, TimeSpan timeout, CancellationToken token);

    /// <summary>What came of it, in words; the power has to be read afterwards.</summary>
    Task<string> ForceOffAsync(CancellationToken token);

    /// <summary>What came of it: "on", "off", or what went wrong, in words.</summary>
    Task<string> SetLedAsync(bool lit, CancellationToken token);
}

/// <param name="State">On, Off, PoweringOn, PoweringOff or Unknown</param>
/// <param name="Message">why it is unknown; empty otherwise</param>
internal sealed record PowerLook(string State, string Message)
{
    public const string Off = "Off";
    public const string Unknown = "Unknown";
}

/// <param name="Last">the last state read</param>
/// <param name="Reads">the reads that prove it, oldest first; empty when it is not off</param>
/// <param name="Fingerprint">SHA-256 of the certificate that the controller showed, hex; empty if it cannot be told</param>
internal sealed record OffLook(bool IsOff, string Last, string Message, IReadOnlyList<PowerSight> Reads, string Fingerprint);
