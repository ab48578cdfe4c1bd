# shellcheck shell=bash
# The L2 segment 10.77.0.0/16: one bridge in a namespace of its own. The machine's own namespace sees none of it.
#
#   LAB-client            LAB-net                                  LAB-nodeN
#   eth0 10.77.0.254 ──── client ┐                       ┌ nodeN ──── eth0 ┐
#                                ├── lan (bridge) ───────┤                 ├ br0 10.77.0.1N, made by the node at boot
#                                │   10.77.0.10N: BMCs   └ ...      ve-* ──┘ containers, 10.77.1.x

NET=$LAB-net
CLIENT=$LAB-client
CLIENT_ADDRESS=10.77.0.254

node_address() { printf '10.77.0.1%s' "${1#node}"; }
node_bmc_address() { printf '10.77.0.10%s' "${1#node}"; }

# Announced neighbours and no waiting for duplicate address detection: the addresses are ours alone.
network_tune() {
    local ns=$1
    # shellcheck disable=SC2016 # expands in the namespace
    nsenter --net="/run/netns/$ns" sh -c '
        for scope in all default; do
            echo 0 >/proc/sys/net/ipv6/conf/$scope/accept_dad
            echo 0 >/proc/sys/net/ipv6/conf/$scope/use_tempaddr
        done'
    ip -n "$ns" link set lo up
}

# network_up NODES: the segment, the client on it, and an address for each node's BMC.
network_up() {
    local number
    ip netns add "$NET"
    ip netns add "$CLIENT"
    network_tune "$NET"
    network_tune "$CLIENT"
    ip -n "$NET" link add lan type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    ip -n "$NET" link set lan address 02:77:00:00:01:00 up
    for number in $(seq "$1"); do ip -n "$NET" address add "$(node_bmc_address "$number")/16" dev lan; done
    network_plug client "$CLIENT" 02:77:00:00:00:fe
    ip -n "$CLIENT" address add "$CLIENT_ADDRESS/16" dev eth0
    ip -n "$CLIENT" link set eth0 up
}

# network_plug PORT NAMESPACE MAC: a cable from the segment's port to eth0 of a namespace.
network_plug() {
    # The kernel clears a namespace away later: the cable of a node that has only just gone off may still be there.
    ip -n "$NET" link delete "$1" 2>/dev/null || true
    ip -n "$NET" link add "$1" type veth peer name eth0 address "$3" netns "$2"
    ip -n "$NET" link set "$1" master lan up
}

network_down() {
    local ns
    for ns in /run/netns/"$LAB"-{net,client,node[1-9]}; do
        [ ! -e "$ns" ] || ip netns delete "${ns##*/}"
    done
}

# network_probe client|NODE CMD...: runs a program of this machine in the network namespace of the client or a node.
network_probe() {
    [ $# -ge 2 ] || die "usage: lab probe client|NODE CMD..."
    local ns=$LAB-$1
    shift
    [ "$1" != -- ] || shift
    [ -e "/run/netns/$ns" ] || die "no network namespace '$ns': is the rack up and the node on?"
    exec nsenter --net="/run/netns/$ns" -- "$@"
}

# node_link NODE up|down|rate R: acts on the switch's side of the node's cable; a rate holds in both directions.
node_link() {
    [ $# -ge 2 ] || die "usage: lab link NODE up|down|rate R"
    local node=$1
    node_check "$node"
    node_is_on "$node" || die "$node is off: it has no link"
    case $2 in
        up | down) ip -n "$NET" link set "$node" "$2" ;;
        rate)
            [ $# -eq 3 ] || die "usage: lab link NODE rate R (as in tc: 100mbit, or off)"
            local side
            for side in "$NET $node" "$LAB-$node eth0"; do
                # shellcheck disable=SC2086 # namespace and device are two words
                link_rate $side "$3"
            done
            ;;
        *) die "link: '$2' is none of up, down, rate" ;;
    esac
}

link_rate() {
    local ns=$1 device=$2 rate=$3
    if [ "$rate" = off ]; then
        tc -n "$ns" qdisc del dev "$device" root 2>/dev/null || true # nothing was set: nothing to lift
    else
        tc -n "$ns" qdisc replace dev "$device" root tbf rate "$rate" burst 256k latency 50ms
    fi
}
