namespace Evacuator.Common.Configuration;

/// <summary>
/// All settings of both services, as merged from /etc/evacuator/evacuator.conf and /etc/evacuator/evacuator.conf.d/*.conf. Immutable; read
/// once at start. Section and key names are the INI's: [node] name → <see cref="NodeOptions.Name"/>.
/// </summary>
public sealed record EvacuatorOptions
{
    public NodeOptions Node { get; init; } = new();

    public FleetOptions Fleet { get; init; } = new();

    public BmcSettings Bmc { get; init; } = new();

    public ContainerOptions Containers { get; init; } = new();

    public MoveOptions Move { get; init; } = new();

    public EvacuationOptions Evacuation { get; init; } = new();

    public HomecomingOptions Homecoming { get; init; } = new();

    public SignalOptions Signals { get; init; } = new();

    public RehearsalOptions Rehearsal { get; init; } = new();

    public PowerOptions Power { get; init; } = new();

    public NotifyOptions Notify { get; init; } = new();

    public WindowOptions Windows { get; init; } = new();

    public LogOptions Log { get; init; } = new();
}

/// <summary>[node]</summary>
public sealed record NodeOptions
{
    /// <summary>name: of this node in the fleet; the host name by default.</summary>
    public string Name { get; init; } = "";

    /// <summary>zone: where this node stands, as containers name it in evacuator.zone; empty: not told.</summary>
    public string Zone { get; init; } = "";

    /// <summary>rack: of this node, unique in its zone; empty: not told.</summary>
    public string Rack { get; init; } = "";

    /// <summary>uplinks: network interfaces that belong to the host itself even if they look like a container's (veth, macvlan), space separated.</summary>
    public IReadOnlyList<string> Uplinks { get; init; } = [];
}

/// <summary>[fleet]</summary>
public sealed record FleetOptions
{
    /// <summary>peers-file: one section a node with its address.</summary>
    public string PeersFile { get; init; } = "/etc/evacuator/peers.conf";

    /// <summary>tls-directory: ca.crt, brain.crt, brain.key, agent.crt, agent.key.</summary>
    public string TlsDirectory { get; init; } = "/etc/evacuator/tls";

    /// <summary>brain-port: where brains talk to each other.</summary>
    public int BrainPort { get; init; } = 7360;

    /// <summary>max-emptied: nodes that may be out at once, from being emptied until they are opened again; 0: any number.</summary>
    public NodeCount MaxEmptied { get; init; }

    /// <summary>max-emptied-per-zone: the same in each zone; nodes that tell no zone are not counted.</summary>
    public int MaxEmptiedPerZone { get; init; }

    /// <summary>min-healthy: percent of the fleet's memory that has to be on open nodes while one is emptied; 0: none.</summary>
    public int MinHealthyPercent { get; init; }

    /// <summary>agent-port: where agents talk to each other.</summary>
    public int AgentPort { get; init; } = 7361;

    /// <summary>authority-port: where evacuator-authority.service listens, on the node that has it.</summary>
    public int AuthorityPort { get; init; } = 7363;

    /// <summary>store: where the fleet keeps what all nodes have to agree on.</summary>
    public FleetStore Store { get; init; } = FleetStore.Static;

    /// <summary>etcd-endpoints: addresses of its members, space separated.</summary>
    public IReadOnlyList<string> EtcdEndpoints { get; init; } = [];

    /// <summary>etcd-ca: authority of its certificates; empty: the fleet's own.</summary>
    public string EtcdCa { get; init; } = "";

    /// <summary>etcd-certificate: that this node shows to it; empty: the one of evacuator.service.</summary>
    public string EtcdCertificate { get; init; } = "";

    /// <summary>etcd-key: of that certificate.</summary>
    public string EtcdKey { get; init; } = "";

    /// <summary>etcd-prefix: that all keys begin with.</summary>
    public string EtcdPrefix { get; init; } = "/evacuator";
}

/// <summary>Where the fleet keeps what all nodes have to agree on.</summary>
public enum FleetStore
{
    /// <summary>Nowhere: nodes ask each other.</summary>
    Static = 0,

    /// <summary>In etcd.</summary>
    Etcd = 1,
}

/// <summary>[bmc]: the management controller of this host.</summary>
public sealed record BmcSettings
{
    /// <summary>url: e.g. https://10.0.0.101; empty means that this host has none: no power-off is verified then.</summary>
    public string Url { get; init; } = "";

    /// <summary>user</summary>
    public string User { get; init; } = "";

    /// <summary>password-file: default is the systemd credential evacuator.bmc-password (/etc/credstore).</summary>
    public string PasswordFile { get; init; } = "";

    /// <summary>fingerprint: SHA-256 of the BMC's certificate, hex; "evacuator bmc trust" shows it.</summary>
    public string Fingerprint { get; init; } = "";

    /// <summary>ca-file: authority that signed the BMC's certificate; instead of a fingerprint.</summary>
    public string CaFile { get; init; } = "";

    /// <summary>system: id of this host among the BMC's systems, where it has several.</summary>
    public string System { get; init; } = "";

    /// <summary>uuid: of this host, where DMI does not tell.</summary>
    public string Uuid { get; init; } = "";

    /// <summary>poll-interval: within which a condition is judged by reading alone.</summary>
    public TimeSpan PollInterval { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>push-address: of this host as the BMC reaches it; empty: no listener, the BMC is not asked to post events.</summary>
    public string PushAddress { get; init; } = "";

    /// <summary>push-port: where the listener for posted events listens.</summary>
    public int PushPort { get; init; } = 7362;
}

/// <summary>[containers]</summary>
public sealed record ContainerOptions
{
    /// <summary>runc-root: runc's state directory.</summary>
    public string RuncRoot { get; init; } = "/run/runc";
}

/// <summary>[move]</summary>
public sealed record MoveOptions
{
    /// <summary>parallel: moves at once.</summary>
    public int Parallel { get; init; } = 3;

    /// <summary>per-peer: moves to one peer at once; 0: as many as parallel says.</summary>
    public int PerPeer { get; init; }

    /// <summary>bandwidth: MiB a second that all copying of this host may send together; 0: no limit.</summary>
    public int BandwidthMebibytes { get; init; }

    /// <summary>freeze-budget: the longest a container may stand still unless its annotation evacuator.freeze-budget says otherwise.</summary>
    public TimeSpan FreezeBudget { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>memory-reserve: percent of a node's memory that inbound containers must leave free.</summary>
    public int MemoryReservePercent { get; init; } = 5;

    /// <summary>least-speed: percent of its speed that a container may be slowed down to, for the time of its move.</summary>
    public int LeastSpeedPercent { get; init; } = 50;

    /// <summary>memory-streams: connections for the memory of one container; 0: by the number of processors.</summary>
    public int MemoryStreams { get; init; }

    /// <summary>compress: memory on its way, where the wire is slow.</summary>
    public CompressRule Compress { get; init; } = CompressRule.Auto;

    /// <summary>The same as a number that is not 0.</summary>
    public int MemoryStreamsFor(int processors) => MemoryStreams > 0 ? MemoryStreams : Math.Clamp(processors / 4, 1, 4);

    /// <summary>dump: how CRIU is kept from memory that travels ahead of it.</summary>
    public DumpRule Dump { get; init; } = DumpRule.Auto;

    /// <summary>stop-budget: the longest that a container which is stopped to be moved may be down before it is started again where it was.</summary>
    public TimeSpan StopBudget { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>avoid-window: a peer whose next maintenance window begins within this time gets nothing.</summary>
    public TimeSpan AvoidWindow { get; init; } = TimeSpan.FromHours(1);
}

/// <summary>Whether memory is compressed on its way.</summary>
public enum CompressRule
{
    /// <summary>Where it gets there sooner for it.</summary>
    Auto,

    Never,
}

/// <summary>Which ways to keep CRIU from memory that has been sent ahead may be tried.</summary>
public enum DumpRule
{
    Auto,
    Shim,
    LazyPages,
    Plain,
}

/// <summary>What to do by oneself when the hardware says that the host has to be emptied.</summary>
public enum SignalAction
{
    Ignore = 0,
    Notify = 1,
    Evacuate = 2,
    EvacuateAndPowerOff = 3,
}

/// <summary>[evacuation]</summary>
public sealed record EvacuationOptions
{
    /// <summary>on-critical-signal: ignore, notify, evacuate or evacuate-and-power-off.</summary>
    public SignalAction OnCriticalSignal { get; init; } = SignalAction.Evacuate;

    /// <summary>partial: move what can be moved even if there is no room for all; no refuses the whole. Hardware that fails by itself is always left by as many as can.</summary>
    public bool Partial { get; init; }

    /// <summary>proof-gap: between the two looks that must find nothing.</summary>
    public TimeSpan ProofGap { get; init; } = TimeSpan.FromSeconds(3);
}

/// <summary>When a node that was emptied takes containers again.</summary>
public enum ReopenRule
{
    ByOperator = 0,
    WhenClear = 1,
}

/// <summary>[homecoming]</summary>
public sealed record HomecomingOptions
{
    /// <summary>reopen: by-operator or when-clear.</summary>
    public ReopenRule Reopen { get; init; } = ReopenRule.WhenClear;

    /// <summary>soak-time: without any finding, after the host has come up again.</summary>
    public TimeSpan SoakTime { get; init; } = TimeSpan.FromMinutes(15);
}

/// <summary>[signals]: when a finding counts, and how far automatic evacuations may go. What a finding means is said by [rule NAME].</summary>
public sealed record SignalOptions
{
    /// <summary>confirm-after: between the two reads that confirm a finding that no event confirms.</summary>
    public TimeSpan ConfirmAfter { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>settle: how long a finding has to be gone before it is over.</summary>
    public TimeSpan Settle { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>cool-down: after an automatic evacuation or a reopening, until the next automatic evacuation.</summary>
    public TimeSpan CoolDown { get; init; } = TimeSpan.FromHours(1);

    /// <summary>fleet-share: percent of the fleet's nodes that may be out when a node empties itself; at least one node, unless 0.</summary>
    public int FleetSharePercent { get; init; } = 25;
}

/// <summary>[rehearsal]</summary>
public sealed record RehearsalOptions
{
    /// <summary>schedule: cron expression, in local time, of when all containers are rehearsed; empty: never by itself.</summary>
    public string Schedule { get; init; } = "";
}

/// <summary>[power]</summary>
public sealed record PowerOptions
{
    /// <summary>verify-timeout: how long the witness waits for PowerState Off before it asks a person.</summary>
    public TimeSpan VerifyTimeout { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>verify-interval: between the witness's reads of the BMC.</summary>
    public TimeSpan VerifyInterval { get; init; } = TimeSpan.FromSeconds(5);
}

/// <summary>[notify]</summary>
public sealed record NotifyOptions
{
    /// <summary>webhook: where notices are posted to as JSON.</summary>
    public string Webhook { get; init; } = "";

    /// <summary>command: program that gets notices on its standard input.</summary>
    public string Command { get; init; } = "";

    /// <summary>timeout: of one attempt of either.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);
}

/// <summary>[windows]</summary>
public sealed record WindowOptions
{
    /// <summary>pace: bytes a second that are reckoned with before anything has been measured, in MiB.</summary>
    public int PaceMebibytes { get; init; } = 50;
}

/// <summary>[log]</summary>
public sealed record LogOptions
{
    /// <summary>level: debug, information, warning or error.</summary>
    public string Level { get; init; } = "information";
}
