# workload.json -> config.json of an OCI bundle. Variables: $name, $annotations, $args.
def capabilities: ["CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_NET_BIND_SERVICE",
    "CAP_SETGID", "CAP_SETUID"];
def tmpfs($path; $mode): {destination: $path, type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=" + $mode]};
{
    ociVersion: "1.0.2",
    hostname: $name,
    annotations: $annotations,
    root: {path: "rootfs", readonly: false},
    process: {
        terminal: false,
        user: {uid: 0, gid: 0},
        cwd: "/",
        args: (.command + (if ($args | length) > 0 then $args else (.args // []) end)),
        env: (["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] + (.env // [])),
        noNewPrivileges: true,
        rlimits: [{type: "RLIMIT_NOFILE", soft: 4096, hard: 4096}],
        capabilities: {bounding: capabilities, effective: capabilities, permitted: capabilities}
    },
    mounts: [
        {destination: "/proc", type: "proc", source: "proc"},
        {destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {destination: "/dev/pts", type: "devpts", source: "devpts",
         options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        {destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"]},
        {destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"]},
        tmpfs("/tmp"; "1777"),
        tmpfs("/run"; "755")
    ],
    linux: {
        cgroupsPath: ("/containers/" + $name),
        namespaces: [{type: "pid"}, {type: "ipc"}, {type: "uts"}, {type: "mount"}, {type: "cgroup"},
                     {type: "network", path: ("/run/netns/" + $name)}],
        maskedPaths: ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                      "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
        readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    }
}
