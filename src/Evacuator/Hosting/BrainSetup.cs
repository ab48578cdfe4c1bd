using System.Net;
using Evacuator.Api;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Evacuation;
using Evacuator.Health;
using Evacuator.Journal;
using Evacuator.Power;

namespace Evacuator.Hosting;

/// <summary>Everything the brain is built from, read and checked before anything of it exists.</summary>
internal sealed record BrainSetup
{
    public required ConfigurationResult Configuration { get; init; }

    public required EvacuatorOptions Options { get; init; }

    public required IReadOnlyList<Peer> Peers { get; init; }

    public required FleetTls Tls { get; init; }

    /// <summary>Null unless the fleet has its store in etcd.</summary>
    public Fleet.Etcd.EtcdTls? EtcdTls { get; init; }
    /// <summary>What is spoken with other brains.</summary>
    public ProtocolVersions Protocol { get; init; } = ProtocolVersions.Brains;

    public required JournalStore Journal { get; init; }

    /// <summary>Management controllers; the argument is the service's clock.</summary>
    public required Func<TimeProvider, IBmcs> Bmcs { get; init; }

    /// <summary>What the own management controller says about this host's health.</summary>
    public required Func<IServiceProvider, ISignalSource> Signals { get; init; }

    /// <summary>What signals mean.</summary>
    public SignalRules Rules { get; init; } = SignalRules.Default;

    /// <summary>On tmpfs, private to the service.</summary>
    public required string RuntimeDirectory { get; init; }

    public string SocketPath { get; init; } = ApiRoutes.SocketPath;

    /// <summary>Group that may use the socket; null: that of the process.</summary>
    public string? SocketGroup { get; init; } = Common.Hosting.Accounts.Service;

    public string AgentSocketPath { get; init; } = AgentRoutes.SocketPath;

    /// <summary>Where peers connect; null: on all addresses.</summary>
    public IPAddress? ListenAddress { get; init; }

    public required BootId BootId { get; init; }

    public BrainTimings Timings { get; init; } = new();

    /// <summary>Instead of the system's; null in the service.</summary>
    public TimeProvider? Clock { get; init; }

    public Notices.SystemJournal SystemJournal { get; init; } = new();

    public Func<Checked<string>>? BmcPassword { get; init; }

    /// <summary>Instead of the journal of systemd; null in the service.</summary>
    public Action<Microsoft.Extensions.Logging.ILoggingBuilder>? Logging { get; init; }
}
