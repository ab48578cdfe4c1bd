# shellcheck shell=bash
# Containers as a user of plain runc would make them: a bundle in /srv/containers/NAME, a network namespace of that name, a
# veth pair into the node's bridge. Nothing in them knows of the lab.

# container_run NODE NAME WORKLOAD [--ip ADDR] [--annotation K=V]... [--arg A]...
container_run() {
    [ $# -ge 3 ] || die "usage: lab run NODE NAME WORKLOAD [--ip ADDR] [--annotation K=V]... [--arg A]..."
    local node=$1 name=$2 dir ip='' annotations='{}' args='[]' bundle rootfs
    node_check "$node"
    node_is_on "$node" || die "$node is off"
    [[ $name =~ ^[a-z0-9][a-z0-9-]{0,31}$ ]] || die "'$name' is not a container name: up to 32 of a-z 0-9 -"
    dir=$(workload_dir "$3")
    shift 3
    while [ $# -gt 0 ]; do
        [ $# -ge 2 ] || die "run: $1 needs a value"
        case $1 in
            --ip) ip=$2 ;;
            --annotation)
                [[ $2 == *=* ]] || die "run: annotation '$2' is not K=V"
                annotations=$(jq -c --arg k "${2%%=*}" --arg v "${2#*=}" '.[$k] = $v' <<<"$annotations")
                ;;
            --arg) args=$(jq -c --arg a "$2" '. + [$a]' <<<"$args") ;;
            *) die "run: unknown option '$1'" ;;
        esac
        shift 2
    done

    rootfs=$(workload_rootfs "$dir")
    bundle=$DISKS/$node/root/srv/containers/$name
    [ ! -e "$bundle" ] || die "$node already has a container '$name'"
    ip=$(address_take "$name" "$ip")
    mkdir -p "$bundle"
    cp -a --reflink=auto "$rootfs" "$bundle/rootfs"
    container_spec "$name" "$dir/workload.json" "$annotations" "$args" >"$bundle/config.json"
    if ! (node_exec "$node" -- sh -eu -s -- "$name" "$(container_port "$name")" "$(container_mac "$name")" "$ip" \
        <"$LAB_DIR/lib/container-start.sh" >&2); then
        rm -rf --one-file-system "$bundle"
        address_give_back "$name"
        die "container '$name' did not start on $node"
    fi
    container_wait "$dir/workload.json" "$name" "$ip"
    printf '%s\n' "$ip"
}

# Host side of the veth pair: the kernel takes 15 characters.
container_port() {
    if [ ${#1} -le 12 ]; then printf 've-%s' "$1"; else printf 've-%s%s' "${1:0:6}" "$(md5sum <<<"$1" | cut -c 1-6)"; fi
}

# Always the same for a name, locally administered.
container_mac() { md5sum <<<"$1" | sed -E 's/^(..)(..)(..)(..)(..).*/02:\1:\2:\3:\4:\5/'; }

# Addresses are given out for the whole rack: a container keeps its own wherever it goes.
# address_take NAME [ADDR]: prints the address, the next free one if none is asked for.
address_take() {
    local name=$1 ip=$2 last
    mkdir -p "$RUN/addresses"
    (
        flock 7
        if [ -z "$ip" ]; then
            for last in $(seq 1 250); do
                ip=10.77.1.$last
                [ -e "$RUN/addresses/$ip" ] || break
            done
        fi
        [[ $ip =~ ^10\.77\.1\.[0-9]{1,3}$ ]] || die "run: '$ip' is not in 10.77.1.0/24, where containers live"
        printf '%s\n' "$name" >"$RUN/addresses/$ip"
        printf '%s\n' "$ip"
    ) 7>"$RUN/addresses.lock"
}

address_give_back() {
    local file
    for file in "$RUN"/addresses/*; do
        [ ! -f "$file" ] || [ "$(<"$file")" != "$1" ] || rm -f "$file"
    done
}

# The OCI configuration: what `runc spec` writes, less the limits that need controllers which the nodes do not have.
container_spec() {
    jq --arg name "$1" --argjson annotations "$3" --argjson args "$4" -f "$LAB_DIR/lib/container-spec.jq" "$2"
}

# Until the workload answers its own probe: a container that runs but does not serve is no use to anyone.
container_wait() {
    local workload=$1 name=$2 ip=$3 probe port deadline=$((SECONDS + 30))
    probe=$(jq -r '.probe // ""' "$workload")
    port=$(jq -r '.port // 0' "$workload")
    [ -n "$probe" ] || return 0
    until container_probe "$probe" "$ip" "$port" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || die "'$name' runs but does not answer at $ip:$port ($probe)"
        sleep 0.1
    done
}

# A probe is a shell command with IP and PORT set, run on the outside host; `client` in it is lab/client.
container_probe() {
    (
        client() { client_run "$@" --seconds 0.05; }
        # shellcheck disable=SC2034 # the probe uses them
        IP=$2 PORT=$3
        eval "$1"
    )
}

# container_stop NODE NAME: ends the container and removes its bundle and network.
container_stop() {
    [ $# -eq 2 ] || die "usage: lab stop NODE NAME"
    node_check "$1"
    [ -d "$DISKS/$1/root/srv/containers/$2" ] || die "$1 has no container '$2'"
    (node_exec "$1" -- sh -eu -s -- "$2" "$(container_port "$2")" <"$LAB_DIR/lib/container-stop.sh")
    address_give_back "$2"
}
