namespace Evacuator.Common.Configuration;

/// <summary>
/// Every key there is, in the order of the manual: the one table from which files are read, "evacuator config show" prints, and
/// evacuator.conf(5) and the installed evacuator.conf are written (a test compares them).
/// </summary>
internal static class Settings
{
    public static EvacuatorOptions Defaults { get; } = new();

    public static IReadOnlyList<Setting> All { get; } =
    [
        Make("node", "name", SettingTypes.NodeName, o => o.Node.Name, (o, v) => o with { Node = o.Node with { Name = v } },
            "Name of this node in the fleet, the same as in its certificates. \"evacuator fleet join\" writes it. Default: the host name."),
        Make("node", "zone", SettingTypes.Text, o => o.Node.Zone, (o, v) => o with { Node = o.Node with { Zone = v } },
            "Zone in which this node stands. Containers stay in their zone where there is room, and may demand it (annotation evacuator.zone)."),
        Make("node", "rack", SettingTypes.Text, o => o.Node.Rack, (o, v) => o with { Node = o.Node with { Rack = v } },
            "Rack of this node, of a name that is unique in its zone, for containers that are spread over racks (annotation evacuator.spread-over)."),
        Make("node", "uplinks", SettingTypes.Words, o => o.Node.Uplinks, (o, v) => o with { Node = o.Node with { Uplinks = v } },
            "Network interfaces that belong to the host itself although they look like a container's (veth, macvlan). They do not count when the host proves itself empty.",
            isList: true),

        Make("fleet", "peers-file", SettingTypes.AbsolutePath, o => o.Fleet.PeersFile, (o, v) => o with { Fleet = o.Fleet with { PeersFile = v } },
            "The nodes of the fleet and their addresses. \"evacuator fleet join\" writes it."),
        Make("fleet", "tls-directory", SettingTypes.AbsolutePath, o => o.Fleet.TlsDirectory, (o, v) => o with { Fleet = o.Fleet with { TlsDirectory = v } },
            "Certificates and keys of this node: ca.crt, brain.crt, brain.key, agent.crt, agent.key. \"evacuator fleet join\" writes them."),
        Make("fleet", "brain-port", SettingTypes.Number(1, 65535), o => o.Fleet.BrainPort, (o, v) => o with { Fleet = o.Fleet with { BrainPort = v } },
            "TCP port on which the deciding services talk to each other. The same on all nodes."),
        Make("fleet", "agent-port", SettingTypes.Number(1, 65535), o => o.Fleet.AgentPort, (o, v) => o with { Fleet = o.Fleet with { AgentPort = v } },
            "TCP port on which agents hand containers over. The same on all nodes."),
        Make("fleet", "authority-port", SettingTypes.Number(1, 65535), o => o.Fleet.AuthorityPort, (o, v) => o with { Fleet = o.Fleet with { AuthorityPort = v } },
            "TCP port of evacuator-authority.service, on the node that has the fleet's authority. Set it before \"evacuator fleet init\"; the others are told."),

        Make("fleet", "max-emptied", SettingTypes.Nodes(1000), o => o.Fleet.MaxEmptied, (o, v) => o with { Fleet = o.Fleet with { MaxEmptied = v } },
            "Nodes of the fleet that may be out at once, the same on all nodes: a node takes its place when it begins to be emptied and gives it back when it is opened again, or when its evacuation "
            + "fails or is cancelled. Others wait for their turn, failing hardware first. 0: any number. A share is rounded down, to one node at least."),
        Make("fleet", "max-emptied-per-zone", SettingTypes.Number(0, 1000), o => o.Fleet.MaxEmptiedPerZone, (o, v) => o with { Fleet = o.Fleet with { MaxEmptiedPerZone = v } },
            "The same in each zone. Nodes without [node] zone are not counted. 0: any number."),
        Make("fleet", "min-healthy", SettingTypes.Number(0, 100), o => o.Fleet.MinHealthyPercent, (o, v) => o with { Fleet = o.Fleet with { MinHealthyPercent = v } },
            "Percent of the fleet's memory that stays on nodes that are open and answer, the one that is to be emptied not counted: it waits as long as less would be left. 0: no minimum."),
        Make("fleet", "store", SettingTypes.EnumWord<FleetStore>(), o => o.Fleet.Store, (o, v) => o with { Fleet = o.Fleet with { Store = v } },
            "Where the fleet keeps what all nodes have to agree on, the same on all nodes. static: nowhere, nodes ask each other, and more than half of them have to answer. etcd: in etcd, version 3.4 or later."),
        Make("fleet", "etcd-endpoints", SettingTypes.HttpsUrls, o => o.Fleet.EtcdEndpoints, (o, v) => o with { Fleet = o.Fleet with { EtcdEndpoints = v } },
            "Addresses of etcd's members for clients, e.g. https://10.0.0.1:2379. Another is asked when one does not answer.", isList: true),
        Make("fleet", "etcd-ca", SettingTypes.AbsolutePath, o => o.Fleet.EtcdCa, (o, v) => o with { Fleet = o.Fleet with { EtcdCa = v } },
            "PEM file of the authority that signed etcd's certificates. Empty: the fleet's own, ca.crt in tls-directory."),
        Make("fleet", "etcd-certificate", SettingTypes.AbsolutePath, o => o.Fleet.EtcdCertificate, (o, v) => o with { Fleet = o.Fleet with { EtcdCertificate = v } },
            "Certificate in PEM that this node shows to etcd. Empty: brain.crt in tls-directory."),
        Make("fleet", "etcd-key", SettingTypes.AbsolutePath, o => o.Fleet.EtcdKey, (o, v) => o with { Fleet = o.Fleet with { EtcdKey = v } },
            "Its key, readable by user evacuator and by no others. Empty: brain.key in tls-directory."),
        Make("fleet", "etcd-prefix", SettingTypes.KeyPrefix, o => o.Fleet.EtcdPrefix, (o, v) => o with { Fleet = o.Fleet with { EtcdPrefix = v } },
            "What all keys in etcd begin with, the same on all nodes and another one for each fleet."),

        Make("bmc", "url", SettingTypes.HttpsUrl, o => o.Bmc.Url, (o, v) => o with { Bmc = o.Bmc with { Url = v } },
            "Redfish address of this host's management controller, e.g. https://10.0.0.101. Empty: this host has none, nothing is watched and no power-off is verified."),
        Make("bmc", "user", SettingTypes.Text, o => o.Bmc.User, (o, v) => o with { Bmc = o.Bmc with { User = v } },
            "Account on the management controller."),
        Make("bmc", "password-file", SettingTypes.AbsolutePath, o => o.Bmc.PasswordFile, (o, v) => o with { Bmc = o.Bmc with { PasswordFile = v } },
            "File that holds that account's password and nothing else; readable by user evacuator and by no others. Empty: the systemd credential evacuator.bmc-password is used "
            + "(/etc/credstore/evacuator.bmc-password, or encrypted in /etc/credstore.encrypted)."),
        Make("bmc", "fingerprint", SettingTypes.Fingerprint, o => o.Bmc.Fingerprint, (o, v) => o with { Bmc = o.Bmc with { Fingerprint = v } },
            "SHA-256 of the management controller's certificate; \"evacuator bmc trust\" shows it."),
        Make("bmc", "ca-file", SettingTypes.AbsolutePath, o => o.Bmc.CaFile, (o, v) => o with { Bmc = o.Bmc with { CaFile = v } },
            "PEM file of the authority that signed the management controller's certificate. Instead of a fingerprint."),
        Make("bmc", "system", SettingTypes.Text, o => o.Bmc.System, (o, v) => o with { Bmc = o.Bmc with { System = v } },
            "Id of this host among the management controller's systems, where it has several."),
        Make("bmc", "uuid", SettingTypes.Uuid, o => o.Bmc.Uuid, (o, v) => o with { Bmc = o.Bmc with { Uuid = v } },
            "UUID of this host as the management controller knows it. Empty: DMI tells."),
        Make("bmc", "poll-interval", SettingTypes.DurationBetween(TimeSpan.FromSeconds(1), TimeSpan.FromDays(1)),
            o => o.Bmc.PollInterval, (o, v) => o with { Bmc = o.Bmc with { PollInterval = v } },
            "Within this time a condition that the management controller shows is read and confirmed, by reading alone. Events arrive besides."),
        Make("bmc", "push-address", SettingTypes.IpAddress, o => o.Bmc.PushAddress, (o, v) => o with { Bmc = o.Bmc with { PushAddress = v } },
            "IP address of this host at which the management controller can post events. Only for controllers without an event stream. Empty: nothing listens, and such a controller's "
            + "logs are looked at instead."),
        Make("bmc", "push-port", SettingTypes.Number(1, 65535), o => o.Bmc.PushPort, (o, v) => o with { Bmc = o.Bmc with { PushPort = v } },
            "TCP port at that address, HTTPS with this node's certificate of the fleet."),

        Make("containers", "runc-root", SettingTypes.AbsolutePath, o => o.Containers.RuncRoot, (o, v) => o with { Containers = o.Containers with { RuncRoot = v } },
            "State directory of runc, where its containers are found."),

        Make("move", "parallel", SettingTypes.Number(1, 64), o => o.Move.Parallel, (o, v) => o with { Move = o.Move with { Parallel = v } },
            "Containers that move at once."),
        Make("move", "per-peer", SettingTypes.Number(0, 64), o => o.Move.PerPeer, (o, v) => o with { Move = o.Move with { PerPeer = v } },
            "Containers that move to one peer at once; others go meanwhile, if they go elsewhere. 0: as many as parallel."),
        Make("move", "bandwidth", SettingTypes.Number(0, 1_000_000), o => o.Move.BandwidthMebibytes, (o, v) => o with { Move = o.Move with { BandwidthMebibytes = v } },
            "MiB a second that all moves from this node may send together while their containers run, in equal parts. A container that stands still does not wait for it; what it sends is "
            + "taken off the others' part afterwards. 0: no limit."),
        Make("move", "freeze-budget", SettingTypes.DurationBetween(TimeSpan.FromMilliseconds(10), TimeSpan.FromHours(1)),
            o => o.Move.FreezeBudget, (o, v) => o with { Move = o.Move with { FreezeBudget = v } },
            "The longest that a container may stand still. A container's annotation evacuator.freeze-budget overrides it."),
        Make("move", "memory-reserve", SettingTypes.Number(0, 90), o => o.Move.MemoryReservePercent, (o, v) => o with { Move = o.Move with { MemoryReservePercent = v } },
            "Percent of this node's memory that arriving containers must leave free."),
        Make("move", "least-speed", SettingTypes.Number(5, 100), o => o.Move.LeastSpeedPercent, (o, v) => o with { Move = o.Move with { LeastSpeedPercent = v } },
            "Percent of its speed that a container may be slowed down to, until it has moved, where it writes faster than its memory can be sent, and for up to a second "
            + "before its freeze where it writes much. 100: never. "
            + "A container's annotation evacuator.least-speed overrides it."),
        Make("move", "memory-streams", SettingTypes.Number(0, 8), o => o.Move.MemoryStreams, (o, v) => o with { Move = o.Move with { MemoryStreams = v } },
            "Connections that the memory of one container travels on, side by side; one takes what one processor core can encrypt. 0: one for each four processors, at most 4."),
        Make("move", "compress", SettingTypes.EnumWord<CompressRule>(), o => o.Move.Compress, (o, v) => o with { Move = o.Move with { Compress = v } },
            "Whether memory is compressed (LZ4) on its way. auto: where it gets there sooner for it, which is measured all the time: on links below some 2 Gbit/s, and memory that can be "
            + "compressed."),
        Make("move", "dump", SettingTypes.EnumWord<DumpRule>(), o => o.Move.Dump, (o, v) => o with { Move = o.Move with { Dump = v } },
            "How CRIU is kept from reading the memory that was sent while the container ran. auto: the first of the following that works here, which the agent tries at its start. "
            + "shim: a library in CRIU. lazy-pages: CRIU's option of that name, 0.1 s more of standing still for each GiB. plain: no memory is sent ahead, and a container stands still for as long as "
            + "all of it takes. One that is named and does not work is plain."),
        Make("move", "stop-budget", SettingTypes.DurationBetween(TimeSpan.FromSeconds(1), TimeSpan.FromHours(1)),
            o => o.Move.StopBudget, (o, v) => o with { Move = o.Move with { StopBudget = v } },
            "The longest that a container which is stopped to be moved (annotation evacuator.policy=cold or stop) may be down before it is started again where it was."),
        Make("move", "avoid-window", SettingTypes.DurationBetween(TimeSpan.Zero, TimeSpan.FromDays(7)),
            o => o.Move.AvoidWindow, (o, v) => o with { Move = o.Move with { AvoidWindow = v } },
            "A peer whose next maintenance window begins within this time gets no container: it would have to send it on."),

        Make("evacuation", "on-critical-signal", SettingTypes.EnumWord<SignalAction>(),
            o => o.Evacuation.OnCriticalSignal, (o, v) => o with { Evacuation = o.Evacuation with { OnCriticalSignal = v } },
            "What this node does by itself when its signals say that it has to be emptied (see [rule NAME]). evacuate: empties itself, and powers off where the rule says so. "
            + "evacuate-and-power-off: powers off every time. notify: says so in the journal and in \"evacuator status\". ignore: in \"evacuator signals\" only."),
        Make("evacuation", "partial", SettingTypes.YesNo, o => o.Evacuation.Partial, (o, v) => o with { Evacuation = o.Evacuation with { Partial = v } },
            "yes: move what can be moved even if there is no room for all. no: refuse the whole plan then, unless it is started with --partial or by failing hardware."),
        Make("evacuation", "proof-gap", SettingTypes.DurationBetween(TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10)),
            o => o.Evacuation.ProofGap, (o, v) => o with { Evacuation = o.Evacuation with { ProofGap = v } },
            "Before a node counts as empty, two looks in a row must find nothing, and this is the time between them."),

        Make("homecoming", "reopen", SettingTypes.EnumWord<ReopenRule>(),
            o => o.Homecoming.Reopen, (o, v) => o with { Homecoming = o.Homecoming with { Reopen = v } },
            "When a node that was emptied takes containers again after it has been switched off and on: when the management controller has reported nothing critical for soak-time, or by "
            + "\"evacuator reopen\" alone. A node that was not restarted, or that has no management controller, is opened by an operator in any case."),
        Make("homecoming", "soak-time", SettingTypes.DurationBetween(TimeSpan.FromSeconds(1), TimeSpan.FromDays(7)),
            o => o.Homecoming.SoakTime, (o, v) => o with { Homecoming = o.Homecoming with { SoakTime = v } },
            "See reopen."),

        Make("signals", "confirm-after", SettingTypes.DurationBetween(TimeSpan.Zero, TimeSpan.FromDays(1)),
            o => o.Signals.ConfirmAfter, (o, v) => o with { Signals = o.Signals with { ConfirmAfter = v } },
            "A finding that would empty this node counts when two reads so far apart show it, or one read and one event. At most half of poll-interval is waited."),
        Make("signals", "settle", SettingTypes.DurationBetween(TimeSpan.Zero, TimeSpan.FromDays(7)),
            o => o.Signals.Settle, (o, v) => o with { Signals = o.Signals with { Settle = v } },
            "A finding is over when it has not been shown for so long. One that comes back earlier is the same, and does not act again."),
        Make("signals", "cool-down", SettingTypes.DurationBetween(TimeSpan.Zero, TimeSpan.FromDays(30)),
            o => o.Signals.CoolDown, (o, v) => o with { Signals = o.Signals with { CoolDown = v } },
            "After an automatic evacuation, and after \"evacuator reopen\", this node does not empty itself again for so long."),
        Make("signals", "fleet-share", SettingTypes.Number(0, 100), o => o.Signals.FleetSharePercent, (o, v) => o with { Signals = o.Signals with { FleetSharePercent = v } },
            "Percent of the fleet's nodes that may be out (being emptied, closed, off or silent) when a node empties itself, itself included. Rounded down, but at least one node; "
            + "0: no node empties itself. Beyond it a person is asked."),

        Make("rehearsal", "schedule", SettingTypes.Cron, o => o.Rehearsal.Schedule, (o, v) => o with { Rehearsal = o.Rehearsal with { Schedule = v } },
            "When every container is rehearsed, one after the other, in local time: frozen for a moment, dumped, and left running, so that it is known whether it could move. One that no longer can "
            + "raises a notice. Seconds, minutes, hours, day of month, month, day of week: 0 30 3 * * ? is each night at half past three. Empty: only on demand, since each container stands still for it."),

        Make("power", "verify-timeout", SettingTypes.DurationBetween(TimeSpan.FromSeconds(1), TimeSpan.FromDays(1)),
            o => o.Power.VerifyTimeout, (o, v) => o with { Power = o.Power with { VerifyTimeout = v } },
            "How long a peer waits until the management controller says that this host is off, before it asks a person."),
        Make("power", "verify-interval", SettingTypes.DurationBetween(TimeSpan.FromMilliseconds(100), TimeSpan.FromHours(1)),
            o => o.Power.VerifyInterval, (o, v) => o with { Power = o.Power with { VerifyInterval = v } },
            "Between two such reads."),

        Make("notify", "webhook", SettingTypes.WebUrl, o => o.Notify.Webhook, (o, v) => o with { Notify = o.Notify with { Webhook = v } },
            "Address that each notice is posted to, as JSON: started, blocked, failed, done, safe to pull, back home, needs a person. What it does not take is tried again for a day; "
            + "nothing ever waits for it. The same notice may come twice: its key tells."),
        Make("notify", "command", SettingTypes.AbsolutePath, o => o.Notify.Command, (o, v) => o with { Notify = o.Notify with { Command = v } },
            "Program that gets each notice as JSON on its standard input, and EVACUATOR_KIND, EVACUATOR_NODE and EVACUATOR_TEXT in its environment. It runs as user evacuator in the sandbox "
            + "of evacuator.service; an exit status other than 0 is tried again like the webhook."),
        Make("notify", "timeout", SettingTypes.DurationBetween(TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(10)),
            o => o.Notify.Timeout, (o, v) => o with { Notify = o.Notify with { Timeout = v } },
            "How long one attempt of either may take before it is given up."),

        Make("windows", "pace", SettingTypes.Number(1, 100_000), o => o.Windows.PaceMebibytes, (o, v) => o with { Windows = o.Windows with { PaceMebibytes = v } },
            "MiB of memory a second that a maintenance window reckons with for emptying this node, until an evacuation of it has been measured. A window does not start what would not be done by its end."),

        Make("log", "level", SettingTypes.OneOf("debug", "information", "warning", "error"), o => o.Log.Level, (o, v) => o with { Log = o.Log with { Level = v } },
            "The least severe messages that go to the journal."),
    ];

    public static Setting? Find(string section, string key) => All.FirstOrDefault(setting => setting.Section == section && setting.Key == key);

    private static Setting<T> Make<T>(
        string section, string key, SettingType<T> type, Func<EvacuatorOptions, T> get, Func<EvacuatorOptions, T, EvacuatorOptions> set, string meaning, bool isList = false) =>
        new(type, get, set)
        {
            Section = section,
            Key = key,
            Permitted = type.Permitted,
            Default = type.Write(get(Defaults)),
            Meaning = meaning,
            IsList = isList,
        };
}
