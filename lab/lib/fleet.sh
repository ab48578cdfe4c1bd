# shellcheck shell=bash
# The product in the nodes: the package installed by apt, the nodes joined to one fleet.

# Prints the path of the package to install, or nothing when the project cannot make one yet.
package_path() {
    local newest
    if [ -n "${EVACUATOR_DEB:-}" ]; then
        [ -f "$EVACUATOR_DEB" ] || die "EVACUATOR_DEB: no such file: $EVACUATOR_DEB"
        printf '%s\n' "$EVACUATOR_DEB"
        return
    fi
    newest=$(package_newest)
    if [ -z "$newest" ] && [ -x "$LAB_DIR/../packaging/deb/build.sh" ]; then
        "$LAB_DIR/../packaging/deb/build.sh" >&2 || die "the package could not be built"
        newest=$(package_newest)
    elif [ -n "$newest" ] && package_is_old "$newest"; then
        say "$(basename "$newest") is older than the sources; packaging/deb/build.sh makes a new one"
    fi
    printf '%s\n' "$newest"
}

package_newest() {
    [ -d "$LAB_DIR/../artifacts" ] || return 0
    find "$LAB_DIR/../artifacts" -maxdepth 1 -name 'evacuator_*_amd64.deb' -printf '%T@ %p\n' | sort -n | sed -n '$s/^[^ ]* //p'
}

package_is_old() {
    local newer
    newer=$(find "$LAB_DIR"/../{src,systemd,packaging} -type d \( -name bin -o -name obj \) -prune -o -type f -newer "$1" -print -quit)
    [ -n "$newer" ]
}

# package_layer DEB BASE: prints the path of an overlay layer that holds what apt changes in the base tree to install it.
package_layer() {
    local hash
    hash=$( (printf '%s' "$2" && sha256sum <"$1") | sha256sum | cut -c 1-16)
    cached package "$hash" 3 package_install "$1" "$2"
}

package_install() {
    local deb=$1 base=$2 layer=$3 work
    say "installing $(basename "$deb") into the node tree"
    work=$(dirname "$layer")
    mkdir -p "$layer" "$work/work" "$work/root"
    mount -t overlay evacuator-lab -o "lowerdir=$base,upperdir=$layer,workdir=$work/work" "$work/root"
    cp "$deb" "$work/root/root/evacuator.deb"
    # No init runs in there, so the package enables its services and starts nothing.
    # shellcheck disable=SC2016 # expands in the new namespaces
    unshare --mount --pid --fork sh -eu -c '
        mount -t proc proc "$1/proc"
        DEBIAN_FRONTEND=noninteractive chroot "$1" apt-get -q -y -o Dpkg::Use-Pty=0 install /root/evacuator.deb' - "$work/root" || {
        umount -l "$work/root"
        return 1
    }
    rm -f "$work/root/root/evacuator.deb"
    umount "$work/root"
}

# fleet_configure NODE: what a node must know before its first start: its BMC and its uplink.
fleet_configure() {
    local node=$1 root=$DISKS/$1/root
    mkdir -p "$root/etc/evacuator/evacuator.conf.d"
    install -d -m 700 "$root/etc/credstore"
    cat >"$root/etc/evacuator/evacuator.conf.d/50-lab.conf" <<TEXT
[node]
uplinks = eth0

[bmc]
url = https://$(node_bmc_address "$node")
user = $BMC_USER
fingerprint = $(<"$RUN/bmc/$node/fingerprint")

# As on a host with more processors than these nodes have.
[move]
memory-streams = 2
TEXT
    [ -z "${EVACUATOR_LAB_CONFIG:-}" ] || install -m 644 "$EVACUATOR_LAB_CONFIG" "$root/etc/evacuator/evacuator.conf.d/60-rack.conf"
    # Without the line's end: a credential is taken as it is.
    (umask 077 && printf '%s' "$(<"$RUN/bmc/password")" >"$root/etc/credstore/evacuator.bmc-password")
}

# Makes a fleet of all nodes, as the manual says, and waits until both services run everywhere.
fleet_join() {
    local node members=() pids=() pid
    for node in $(node_names); do members+=("$node=$(node_address "$node")"); done
    (node_exec node1 -- evacuator fleet init --output /root/fleet "${members[@]}" >"$RUN/fleet.log" 2>&1) ||
        die "node1: evacuator fleet init failed: $(<"$RUN/fleet.log")"
    for node in $(node_names); do
        fleet_join_node "$node" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || die "not all nodes could join the fleet"; done
}

fleet_join_node() {
    local node=$1 bundle=root/fleet/$1.join
    [ -s "$DISKS/node1/root/$bundle" ] || die "node1: evacuator fleet init made no $node.join"
    [ "$node" = node1 ] || install -D -m 600 "$DISKS/node1/root/$bundle" "$DISKS/$node/root/$bundle"
    # shellcheck disable=SC2016 # expands in the node
    (node_exec "$node" -- sh -euc '
        evacuator fleet join "$1"
        rm "$1"
        systemctl restart evacuator-agent evacuator
        systemctl is-active --quiet evacuator-agent evacuator' - "/$bundle" >"$RUN/$node.fleet.log" 2>&1) || {
        (node_exec "$node" -- journalctl -n 20 -o cat -u evacuator-agent -u evacuator) >>"$RUN/$node.fleet.log" 2>&1 || true
        die "$node: could not join the fleet: $(<"$RUN/$node.fleet.log")"
    }
}
