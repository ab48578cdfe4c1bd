# shellcheck shell=bash
# Names, folders and small helpers that every part uses.

LAB=${EVACUATOR_LAB:-rack}
CACHE=${EVACUATOR_LAB_CACHE:-/var/cache/evacuator-lab}
# What only matters while the rack runs, and the disks of its nodes, which outlive a power cut.
RUN=/run/evacuator-lab/$LAB
DISKS=/var/lib/evacuator-lab/$LAB
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then CGROUPS=/sys/fs/cgroup; else CGROUPS=/sys/fs/cgroup/unified; fi
CGROUP=$CGROUPS/evacuator-lab-$LAB

say() { printf 'lab: %s\n' "$*" >&2; }

# 125, as other tools that run somebody else's command: the lab itself failed, not the command.
die() {
    printf 'lab: %s\n' "$*" >&2
    exit 125
}

# Whatever ends the script without a word of its own says where.
trap '[ $? -eq 125 ] || say "stopped at ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND"' ERR

[[ $LAB =~ ^[a-z][a-z0-9-]{0,15}$ ]] || die "EVACUATOR_LAB='$LAB' is not a name: up to 16 of a-z 0-9 -, a letter first"

need_root() { [ "$(id -u)" -eq 0 ] || die "must run as root: it makes namespaces, mounts and cgroups"; }

# Serialises what creates and removes the rack. The descriptor must not leak into what stays behind (see `detached`).
lock_rack() {
    mkdir -p /run/evacuator-lab
    exec 9>"/run/evacuator-lab/$LAB.lock"
    flock -n 9 || { say "waiting for another 'lab up' or 'lab down' of '$LAB'"; flock 9; }
}

# Runs a command in the background in a session of its own, in cgroup $1, with output to file $2 and no inherited lock.
# The cgroup is what `down` kills by, so nothing that the rack started can be missed or mistaken for something else.
detached() {
    local cgroup=$1 log=$2
    shift 2
    mkdir -p "$cgroup"
    (
        echo "$BASHPID" >"$cgroup/cgroup.procs"
        exec setsid "$@" >>"$log" 2>&1 </dev/null 8>&- 9>&-
    ) &
    disown
}

# Kills everything in a cgroup and below, and removes it. Safe on frozen groups: SIGKILL reaches them.
remove_cgroup() {
    local cgroup=$1 tries=0
    [ -d "$cgroup" ] || return 0
    echo 1 >"$cgroup/cgroup.kill"
    while grep -q '^populated 1' "$cgroup/cgroup.events"; do
        tries=$((tries + 1))
        [ $tries -lt 1200 ] || die "processes in $cgroup do not die: $(find "$cgroup" -name cgroup.procs -exec cat {} + | tr '\n' ' ')"
        sleep 0.05
    done
    find "$cgroup" -depth -type d -exec rmdir {} +
    # nspawn leaves the same folders in the version 1 hierarchy of a machine that has both.
    local twin=/sys/fs/cgroup/systemd/${cgroup#"$CGROUPS/"}
    [ ! -d "$twin" ] || find "$twin" -depth -type d -exec rmdir {} +
}

# unmount_below DIR: detaches every mount at or below DIR, deepest first.
unmount_below() {
    local point
    awk -v dir="$1" '{ p = $5; gsub(/\\040/, " ", p) } p == dir || index(p, dir "/") == 1 { print p }' /proc/self/mountinfo |
        sort -r | while IFS= read -r point; do umount -l -- "$point"; done
}

# process_lives FILE: whether the process whose pid is in FILE is there (a zombie is not).
process_lives() {
    local pid state
    [ -s "$1" ] && read -r pid <"$1" || return 1
    state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null) || return 1
    [ -n "$state" ] && [ "$state" != Z ]
}
