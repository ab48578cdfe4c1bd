# shellcheck shell=bash
# Workloads: what can run in a container. See README.md for workload.json.

# workload_dir NAME|PATH: prints the folder.
workload_dir() {
    local dir=$1
    [ -d "$dir" ] && [[ $dir == */* ]] || dir=$LAB_DIR/workloads/$1
    [ -f "$dir/workload.json" ] || die "no workload '$1': neither a folder with a workload.json nor one of: $(workload_names)"
    jq -e '(.command | type == "array" and length > 0)' "$dir/workload.json" >/dev/null ||
        die "$dir/workload.json: 'command' must be a list of words"
    (cd "$dir" && pwd)
}

workload_names() {
    local file names=()
    for file in "$LAB_DIR"/workloads/*/workload.json; do names+=("$(basename "$(dirname "$file")")"); done
    printf '%s' "${names[*]}"
}

# workload_rootfs DIR: prints the path of the container's root, built once for each content of the workload.
workload_rootfs() {
    local dir=$1 packages tree= hash
    packages=$(jq -r '.packages // [] | sort | join(",")' "$dir/workload.json")
    if [ -n "$packages" ]; then
        hash=$( (printf '%s' "$packages" && cat "$LAB_DIR/lib/workload.sh") | sha256sum | cut -c 1-16)
        tree=$(cached packages "$hash" 8 workload_build_packages "$packages")
    fi
    hash=$(hash_of "$dir" "$LAB_DIR/workloads/common" "$LAB_DIR/lib/workload.sh" "$LAB_DIR/lib/cache.sh")
    cached rootfs "$hash" 24 workload_build_rootfs "$dir" "$tree"
}

# The packages and what they depend on, unpacked but not configured: no maintainer script has any business here.
workload_build_packages() {
    local packages=$1 tree=$2 archive
    say "unpacking ${packages//,/, } for containers (once)"
    archive=$(host_debian_archive)
    mmdebstrap --quiet --mode=root --variant=extract --include="$packages" --aptopt='Acquire::Check-Valid-Until "false"' \
        trixie "$tree" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive trixie main"
    rm -rf "${tree:?}"/{boot,media,mnt,opt,usr/share/{doc,man,locale,info,lintian,perl,perl5,bug},usr/lib/x86_64-linux-gnu/{perl,perl5,gconv},var/lib/{apt,dpkg},var/cache,usr/lib/systemd,etc/systemd}
}

workload_build_rootfs() {
    local dir=$1 tree=$2 root=$3 program link
    local -a sources
    mkdir -p "$root"
    if [ -n "$tree" ]; then
        cp -a "$tree/." "$root/"
        # Of a Debian system these links come with base-files, which nothing else here needs.
        for link in bin sbin lib lib64; do ln -sfn "usr/$link" "$root/$link"; done
    fi
    mkdir -p "$root"/{proc,dev,sys,tmp,run,root,etc,var/tmp}
    chmod 1777 "$root/tmp" "$root/var/tmp"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
    printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
    while IFS= read -r program; do
        mapfile -t sources < <(jq -r --arg p "$program" '.build[$p][]' "$dir/workload.json")
        mkdir -p "$root/$(dirname "$program")"
        (cd "$dir" && build_program "${sources[@]}" "$root/$program") || return 1
    done < <(jq -r '.build // {} | keys[]' "$dir/workload.json")
    while IFS= read -r program; do
        mkdir -p "$root/$(dirname "$program")"
        jq -rj --arg p "$program" '.files[$p]' "$dir/workload.json" >"$root/$program"
    done < <(jq -r '.files // {} | keys[]' "$dir/workload.json")
}

# lab client MODE IP[:PORT] [OPTION...]: the checking client (lab/client), run on the outside host.
client_run() {
    local hash program
    hash=$(hash_of "$LAB_DIR/client" "$LAB_DIR/lib/cache.sh")
    program=$(cached client "$hash" 2 build_program "$LAB_DIR"/client/*.c)
    network_probe client "$program" "$@"
}
