# shellcheck shell=bash
# The tree that nodes boot from.
# What a plain Debian host would have for its containers, and what one wants at hand on it. sid only for CRIU: kernels
# from 6.16 on refuse a socket option that the 4.1.1 of Debian 13 insists on, so there TCP needs 4.2.
TREE_PACKAGES=(systemd systemd-sysv dbus criu runc iptables nftables iproute2 rsync socat procps iputils-arping iputils-ping
    ca-certificates curl openssl libssl3t64 zstd liblz4-1 kmod less)
TREE_FROM_SID=(criu libcriu2 libcompel1 libnet9 libnl-3-200)
# Units that would act on this machine's kernel instead of the node's, or wait for devices that are not there.
TREE_MASKED=(systemd-sysctl.service systemd-modules-load.service systemd-udevd.service systemd-timesyncd.service
    systemd-firstboot.service console-getty.service getty.target systemd-networkd.service systemd-resolved.service
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer)

# Prints the path of the base tree.
tree_base() {
    local hash
    hash=$(hash_of "$LAB_DIR/lib/tree.sh" "$LAB_DIR/node")
    cached base "$hash" 4 tree_build
}

tree_build() {
    local tree=$1 archive signed packages prefs
    say "building the node tree (Debian 13, once)"
    archive=$(host_debian_archive)
    signed="deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive"
    packages=$(IFS=,; printf '%s' "${TREE_PACKAGES[*]},${TREE_FROM_SID[*]}")
    prefs=$(dirname "$tree")/preferences
    printf 'Package: *\nPin: release n=sid\nPin-Priority: 50\n\nPackage: %s\nPin: release n=sid\nPin-Priority: 990\n' \
        "${TREE_FROM_SID[*]}" >"$prefs"
    # A mirror that is frozen in time serves a sid index past its date: the signature still counts, the date does not.
    mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" --aptopt='Acquire::Check-Valid-Until "false"' \
        --setup-hook="install -D -m 644 '$prefs' \"\$1\"/etc/apt/preferences.d/lab" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        trixie "$tree" "$signed trixie main" "$signed sid main"

    cp -a "$LAB_DIR/node/." "$tree/"
    chown -R 0:0 "$tree/etc/systemd/system"
    local unit
    for unit in "${TREE_MASKED[@]}"; do ln -sf /dev/null "$tree/etc/systemd/system/$unit"; done
    mkdir -p "$tree/etc/systemd/system/multi-user.target.wants"
    ln -sf ../lab-network.service "$tree/etc/systemd/system/multi-user.target.wants/lab-network.service"
    ln -sfn /usr/lib/systemd/system/multi-user.target "$tree/etc/systemd/system/default.target"
    # Journals survive a power cut; names instead of a resolver, as there is nothing to resolve with.
    mkdir -p "$tree/var/log/journal"
    {
        printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n%s client\n' "$CLIENT_ADDRESS"
        local number
        for number in $(seq 9); do
            printf '%s node%s\n%s bmc%s\n' "$(node_address "$number")" "$number" "$(node_bmc_address "$number")" "$number"
        done
    } >"$tree/etc/hosts"
    rm -f "$tree/etc/resolv.conf" "$tree/etc/machine-id" "$tree/etc/hostname"
}
