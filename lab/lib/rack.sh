# shellcheck shell=bash
# The whole rack: up, down, status.

# Steps: 1. clear what is left  2. trees and package  3. network and disks  4. BMCs  5. power on  6. fleet
rack_up() {
    local count=3 bare= started=$SECONDS number node layers package= word
    for word in "$@"; do if [ "$word" = --bare ]; then bare=yes; else count=$word; fi; done
    [[ $count =~ ^[1-9]$ ]] || die "up: '$count' is not a number of nodes from 1 to 9"
    need_root
    lock_rack
    host_prepare
    rack_clear
    trap rack_interrupted INT TERM HUP

    layers=$(tree_base)
    [ -n "$bare" ] || package=$(package_path)
    [ -z "$package" ] || layers=$(package_layer "$package" "$layers"):$layers

    mkdir -p "$RUN" "$DISKS"
    chmod 700 "$RUN" "$DISKS"
    network_up "$count"
    for number in $(seq "$count"); do node_create "node$number" "$layers"; done

    bmc_up
    [ -z "$package" ] || for node in $(node_names); do fleet_configure "$node"; done

    for node in $(node_names); do node_on "$node"; done
    for node in $(node_names); do node_wait_ready "$node"; done

    if [ -n "$package" ]; then fleet_join; else say "no package: the nodes are bare"; fi
    trap - INT TERM HUP
    say "rack '$LAB' is up: $count nodes in $((SECONDS - started)) s${package:+, with $(basename "$package")}"
}

rack_interrupted() {
    trap '' INT TERM HUP
    say "interrupted: taking down what was begun"
    rack_clear
    exit 130
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
    ! grep -qF "$CACHE/" /proc/self/mountinfo || die "another rack stands on the caches in $CACHE: take it down first"
    cache_clean_partial
    rm -rf --one-file-system "$CACHE"
}

# rack_status [--json]: {"lab", "up", "nodes": [{"name", "address", "bmc", "power", "state", "link", "containers": [{"name", "status"}]}]}
rack_status() {
    need_root
    local node
    for node in $(node_names); do node_status "$node"; done | jq -s --arg lab "$LAB" '{lab: $lab, up: (length > 0), nodes: .}' |
        if [ "${1:-}" = --json ]; then
            cat
        else
            jq -r 'if .up then
                (["NODE", "ADDRESS", "BMC", "POWER", "STATE", "LINK", "CONTAINERS"],
                 (.nodes[] | [.name, .address, .bmc, .power, .state, .link, ([.containers[].name] | join(" "))]) | @tsv)
                else "rack \(.lab) is down" end' | column -t -s $'\t'
        fi
}
