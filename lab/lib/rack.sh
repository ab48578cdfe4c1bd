# shellcheck shell=bash
# The whole rack: up, down, status.

rack_up() {
    local count=${1:-3} base started=$SECONDS number node
    [[ $count =~ ^[1-9]$ ]] || die "up: '$count' is not a number of nodes from 1 to 9"
    need_root
    lock_rack
    host_prepare
    rack_clear
    trap 'trap - INT TERM; say "interrupted: taking down what was begun"; rack_clear; exit 130' INT TERM
    base=$(tree_base)

    mkdir -p "$RUN" "$DISKS"
    chmod 700 "$RUN" "$DISKS"
    network_up "$count"
    for number in $(seq "$count"); do node_create "node$number" "$base"; done
    for number in $(seq "$count"); do node_on "node$number"; done
    for node in $(node_names); do node_wait_ready "$node"; done
    trap - INT TERM
    say "rack '$LAB' is up: $count nodes in $((SECONDS - started)) s"
}

rack_down() {
    need_root
    lock_rack
    rack_clear
}

# Removes whatever there is of this rack, in any state, by what the kernel shows of it.
rack_clear() {
    remove_cgroup "$CGROUP"
    network_down
    unmount_below "$DISKS"
    rm -rf --one-file-system "$DISKS" "$RUN"
}

rack_purge() {
    rack_down
    local other
    for other in /var/lib/evacuator-lab/*/; do
        [ ! -d "$other" ] || die "rack '$(basename "$other")' still stands on the caches in $CACHE: take it down first"
    done
    cache_clean_partial
    rm -rf --one-file-system "$CACHE"
}

rack_status() {
    local node power state link leader
    need_root
    for node in $(node_names); do
        power=Off state=off link=down
        if node_is_on "$node"; then
            power=On state=starting
            ! leader=$(node_leader "$node") ||
                state=$(nsenter -t "$leader" -a -- systemctl is-system-running 2>/dev/null || true)
            ! ip -n "$NET" link show "$node" 2>/dev/null | grep -q 'state UP' || link=up
        fi
        jq -cn --arg name "$node" --arg address "$(node_address "$node")" --arg bmc "$(node_bmc_address "$node")" \
            --arg power "$power" --arg state "${state:-starting}" --arg link "$link" '$ARGS.named'
    done | jq -s --arg lab "$LAB" '{lab: $lab, up: (length > 0), nodes: .}' |
        if [ "${1:-}" = --json ]; then
            cat
        else
            jq -r 'if .up then
                (["NODE", "ADDRESS", "BMC", "POWER", "STATE", "LINK"],
                 (.nodes[] | [.name, .address, .bmc, .power, .state, .link]) | @tsv)
                else "rack \(.lab) is down" end' | column -t -s $'\t'
        fi
}
