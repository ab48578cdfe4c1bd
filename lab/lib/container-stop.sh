#!/bin/sh
# Runs in the node: NAME PORT
name=$1 port=$2
runc delete --force "$name"
ip link delete "$port" 2>/dev/null || true
ip netns delete "$name" 2>/dev/null || true
rm -rf --one-file-system "/srv/containers/$name"
