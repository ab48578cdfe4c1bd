#!/bin/sh
# Runs in the node: NAME PORT MAC IP
name=$1 port=$2 mac=$3 ip=$4
bundle=/srv/containers/$name
undo() {
    runc delete --force "$name" >/dev/null 2>&1 || true
    ip link delete "$port" 2>/dev/null || true
    ip netns delete "$name" 2>/dev/null || true
}
ip netns add "$name"
trap undo EXIT
ip link add "$port" type veth peer name eth0 address "$mac" netns "$name"
ip link set "$port" master br0 up
ip -n "$name" address add "$ip/16" dev eth0
ip -n "$name" link set lo up
ip -n "$name" link set eth0 up
ip -n "$name" route add default via 10.77.0.254
# Whoever knew this address with another MAC, from a container that is gone, learns of it.
ip netns exec "$name" arping -q -U -c 1 -I eth0 "$ip" || true
# No terminal and nobody's pipes: runc hands on our descriptors, and a container must not depend on who started it.
if ! runc --log /run/runc-start.$$ run --detach --bundle "$bundle" "$name" </dev/null >/dev/null 2>&1; then
    cat /run/runc-start.$$
    rm -f /run/runc-start.$$
    exit 1
fi
rm -f /run/runc-start.$$
trap - EXIT
