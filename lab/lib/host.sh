# shellcheck shell=bash
# What this machine must have before a rack can stand on it.

HOST_TOOLS=(mmdebstrap:mmdebstrap systemd-nspawn:systemd-container ip:iproute2 nsenter:util-linux jq:jq curl:curl
    gcc:gcc flock:util-linux setsid:util-linux column:bsdextrautils)

# Installs the tools that are missing, by apt.
host_prepare() {
    local entry missing=()
    need_root
    for entry in "${HOST_TOOLS[@]}"; do
        command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
    done
    # The keyring of a Debian 12 that was not kept up to date does not know Debian 13 yet.
    [ -f /usr/share/keyrings/debian-archive-trixie-stable.gpg ] || missing+=(debian-archive-keyring)
    [ -f "/usr/lib/$(uname -m)-linux-gnu/libc.a" ] || missing+=(libc6-dev)
    if [ ${#missing[@]} -gt 0 ]; then
        say "installing ${missing[*]}"
        { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install "${missing[@]}"; } >&2
    fi
    [ -f "$CGROUPS/cgroup.procs" ] || die "no cgroup2 hierarchy at $CGROUPS"
    # Each booted systemd takes several inotify instances of root's allowance (128 by default) and a rack has many.
    local instances=/proc/sys/fs/inotify/max_user_instances
    [ "$(<"$instances")" -ge 4096 ] || echo 4096 >"$instances"
}

# Address of the Debian archive that this machine itself uses.
host_debian_archive() {
    local archive
    archive=$(host_debian_archives | sed -n 1p)
    if [ -z "$archive" ]; then
        apt-get -q update >&2
        archive=$(host_debian_archives | sed -n 1p)
    fi
    [ -n "$archive" ] || die "apt on this machine has no Debian archive (main) to build node trees from"
    printf '%s\n' "$archive"
}

host_debian_archives() {
    # shellcheck disable=SC2016 # apt's own placeholder
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main'
}
