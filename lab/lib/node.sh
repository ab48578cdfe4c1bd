# shellcheck shell=bash
# One node: a Debian tree on an overlay that boots its own systemd under systemd-nspawn.
#   DISKS/nodeN/{upper,work,root}  its disk: what it wrote, and the mounted whole; kept while the power is off
#   RUN/nodeN.pid                  the nspawn process; the node is on as long as that lives
#   CGROUP/nodeN                   everything that runs in it

node_check() {
    [[ ${1:-} =~ ^node[1-9]$ ]] || die "'${1:-}' is not a node: node1 to node9"
    [ -d "$DISKS/$1/root" ] || die "rack '$LAB' has no $1: see lab status"
}

node_names() {
    local disk
    for disk in "$DISKS"/node[1-9]; do [ ! -d "$disk" ] || printf '%s\n' "${disk##*/}"; done
}

node_is_on() { process_lives "$RUN/$1.pid"; }

# PID 1 of the node as this machine sees it: the only child of its nspawn.
node_leader() {
    local pid leader=
    node_is_on "$1" || return 1
    read -r pid <"$RUN/$1.pid"
    read -r leader _ <"/proc/$pid/task/$pid/children" 2>/dev/null || true
    [ -n "$leader" ] && printf '%s\n' "$leader"
}

# node_create NODE LOWER: its disk, on top of the given layers (as in overlay's lowerdir).
node_create() {
    local node=$1 disk=$DISKS/$1
    mkdir -p "$disk"/{upper,work,root}
    mount -t overlay "evacuator-lab-$LAB-$node" -o "lowerdir=$2,upperdir=$disk/upper,workdir=$disk/work" "$disk/root"
    mkdir -p "$disk/root/etc/lab"
    printf '%s/16\n' "$(node_address "$node")" >"$disk/root/etc/lab/address"
    printf '%s\n' "$node" >"$disk/root/etc/hostname"
    printf '%s %s' "$LAB" "$node" | md5sum | cut -c 1-32 >"$disk/root/etc/machine-id"
}

# Presses the power button: returns as soon as the node has power, long before it has booted.
node_on() {
    node_check "$1"
    node_is_on "$1" && return 0
    detached "$CGROUP/supervisors" "$RUN/$1.supervisor.log" "$LAB_DIR/lab" _node-supervise "$1"
    local tries=0
    until node_is_on "$1"; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || die "$1 does not start; see $RUN/$1.supervisor.log and $RUN/$1.console.log"
        sleep 0.05
    done
}

# Runs the node until it is off, then takes its cable and its cgroup away: a host without power answers nobody.
node_supervise() {
    local node=$1 number=${1#node} ns=$LAB-$1 status=0
    exec 8>"$RUN/$node.lock"
    flock 8 # an earlier run of this node may still be clearing up
    ip netns delete "$ns" 2>/dev/null || true
    ip netns add "$ns"
    network_plug "$node" "$ns" "02:77:00:00:00:0$number"
    mkdir -p "$CGROUP/$node"
    (
        # A cgroup per node, before nspawn starts: else all nodes share one subtree, and containers of one name one cgroup.
        echo "$BASHPID" >"$CGROUP/$node/cgroup.procs"
        echo "$BASHPID" >"$RUN/$node.pid.new"
        mv "$RUN/$node.pid.new" "$RUN/$node.pid"
        # Without seccomp filters (CRIU has to suspend them and may not), /proc/sys writable (CRIU sets ns_last_pid).
        export SYSTEMD_SECCOMP=0 SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
        # Entered beforehand too: nspawn mounts the node's /sys before it joins, which would show this machine's interfaces.
        exec nsenter --net="/run/netns/$ns" -- systemd-nspawn --quiet -D "$DISKS/$node/root" --machine="$LAB-$node" --hostname="$node" --register=no --keep-unit \
            --capability=all --network-namespace-path="/run/netns/$ns" --resolv-conf=off --timezone=off --link-journal=no \
            --boot >>"$RUN/$node.console.log" 2>&1 </dev/null 8>&-
    ) &
    wait $! || status=$?
    printf '%s went off (nspawn exit %s)\n' "$node" "$status"
    ip netns delete "$ns"
    remove_cgroup "$CGROUP/$node"
    rm -f "$RUN/$node.pid"
}

# Asks the node's systemd to shut down and power off.
node_graceful() {
    local leader
    node_check "$1"
    leader=$(node_leader "$1") || return 0
    kill -s RTMIN+4 "$leader"
}

# Cuts the power: everything in the node dies at once. Returns when it is off: who presses "on" while it is still dying presses in vain.
node_force_off() {
    node_check "$1"
    [ -d "$CGROUP/$1" ] || return 0
    echo 1 >"$CGROUP/$1/cgroup.kill"
    local tries=0
    while node_is_on "$1"; do
        tries=$((tries + 1))
        [ $tries -lt 400 ] || die "$1 does not die; see $RUN/$1.supervisor.log"
        sleep 0.05
    done
}

# node_wait_ready NODE: until its systemd says that booting is over.
node_wait_ready() {
    local node=$1 deadline=$((SECONDS + 90)) leader state=
    while [ $SECONDS -lt $deadline ]; do
        if leader=$(node_leader "$node"); then
            state=$(nsenter -t "$leader" -a -- systemctl is-system-running --wait 2>/dev/null || true)
            case $state in running | degraded) return 0 ;; esac
        fi
        sleep 0.1
    done
    die "$node does not finish booting (systemd says '${state:-nothing}'); console: $RUN/$node.console.log"
}

# node_exec NODE [--] CMD...: as a transient service, so that the command is in the node's own cgroups (CRIU cannot restore
# otherwise) and has the limit of open files that CRIU wants but may not raise itself.
node_exec() {
    [ $# -ge 2 ] || die "usage: lab exec NODE -- CMD..."
    local node=$1 leader
    shift
    [ "$1" != -- ] || shift
    node_check "$node"
    leader=$(node_leader "$node") || die "$node is off"
    exec nsenter -t "$leader" -a -- /usr/bin/systemd-run --quiet --wait --pipe --collect --property=Delegate=yes \
        --property=LimitNOFILE=524288:524288 --setenv=HOME=/root \
        --setenv=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin -- "$@"
}

# node_copy SRC NODE:PATH: like cp -a. PATH is the new name, or an existing folder to put it into.
node_copy() {
    if [ $# -ne 2 ] || ! [[ $2 == node[1-9]:/* ]]; then die "usage: lab copy SRC NODE:/PATH"; fi
    local src=$1 node=${2%%:*} path=${2#*:} leader mode
    [ -e "$src" ] || die "no such file: $src"
    node_check "$node"
    leader=$(node_leader "$node") || die "$node is off"
    local -a inside=(nsenter -t "$leader" -a --)
    ! "${inside[@]}" test -d "$path" || path=${path%/}/$(basename "$src")
    if [ -d "$src" ]; then
        # shellcheck disable=SC2016 # expands in the node
        tar -C "$src" -cf - . | "${inside[@]}" sh -c 'mkdir -p "$1" && tar -C "$1" -xpf -' - "$path"
    else
        mode=$(stat -c %a "$src")
        # shellcheck disable=SC2016 # expands in the node
        "${inside[@]}" sh -c 'cat >"$1" && chmod "$2" "$1"' - "$path" "$mode" <"$src"
    fi
}

# node_status NODE: one line of JSON.
node_status() {
    local node=$1 power=Off state=off link=down containers='' leader
    if node_is_on "$node"; then
        power=On state=starting
        if leader=$(node_leader "$node"); then
            state=$(nsenter -t "$leader" -a -- systemctl is-system-running 2>/dev/null || true)
            containers=$(nsenter -t "$leader" -a -- runc list --format json 2>/dev/null || true)
        fi
        ! ip -n "$NET" link show "$node" 2>/dev/null | grep -q 'state UP' || link=up
    fi
    jq -cn --arg name "$node" --arg address "$(node_address "$node")" --arg bmc "$(node_bmc_address "$node")" --arg power "$power" \
        --arg state "${state:-starting}" --arg link "$link" --argjson list "${containers:-null}" \
        '$ARGS.named | del(.list) + {containers: [($list // [])[] | {name: .id, status}]}'
}
