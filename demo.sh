#!/usr/bin/env bash
# A real evacuation on a rack of three nodes on this machine: hardware predicts its failure, six containers move live to the peers, the
# node proves that it is empty and powers off, a peer verifies that on the BMC, the locator LED is lit.
# Usage: ./demo.sh [--keep]      --keep leaves the rack up afterwards (EVACUATOR_LAB=demo lab/lab down removes it)
set -euo pipefail
cd "$(dirname "$0")"

[ "$(id -u)" = 0 ] || { echo "demo.sh needs root: it makes namespaces, mounts and nodes" >&2; exit 1; }
command -v dotnet >/dev/null || { echo "demo.sh needs the .NET 10 SDK (dotnet)" >&2; exit 1; }
keep=
case ${1:-} in
    --keep) keep=1 ;;
    '') ;;
    *) echo "usage: ./demo.sh [--keep]" >&2; exit 2 ;;
esac

export EVACUATOR_LAB=demo
lab=lab/lab
work=$(mktemp -d)
clients=()
started=$SECONDS

cleanup() {
    trap '' INT TERM
    [ ${#clients[@]} -eq 0 ] || kill "${clients[@]}" 2>/dev/null || true
    [ -n "$keep" ] || $lab down >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
die() { echo "demo: $*" >&2; exit 1; }

say "1. Build the package"
packaging/deb/build.sh
say "2. Bring up a rack: three nodes with systemd, the package, a fleet, a BMC each"
$lab up 3
# By default a node empties itself when its hardware predicts a failure; this one also goes off.
$lab exec node1 -- sh -c 'printf "[evacuation]\non-critical-signal = evacuate-and-power-off\n" >/etc/evacuator/evacuator.conf.d/60-demo.conf
    chmod 644 /etc/evacuator/evacuator.conf.d/60-demo.conf && systemctl restart evacuator'

say "3. Six containers on node1, a connection from outside to each"
# name workload client-mode arguments…
containers=(
    "count   counter counter"
    "cache   redis   redis"
    "web     nginx   http"
    "big     memory  memory 512 5"
    "family  family  family"
    "quiet   idle    echo"
)
for line in "${containers[@]}"; do
    read -r name workload mode arguments <<<"$line"
    extra=()
    for argument in $arguments; do extra+=(--arg "$argument"); done
    ip=$($lab run node1 "$name" "$workload" "${extra[@]}")
    # Until it is told to stop: a round trip every 5 ms, each answer checked.
    $lab client "$mode" "$ip" --name "$name" --seconds 0 --report-ms 60000 >"$work/$name.client" 2>"$work/$name.errors" &
    clients+=($!)
    printf '  %-8s %-8s %s\n' "$name" "$workload" "$ip"
done
sleep 2

say "4. The BMC of node1 reports: a memory module will fail"
$lab bmc node1 event lab/events/predicted-memory.json
flagged=$SECONDS

say "5. The evacuation, as node1 sees it"
last=
for _ in $(seq 1 300); do
    status=$($lab exec node1 -- evacuator report --json 2>/dev/null) || status=
    if [ -n "$status" ]; then
        line=$(jq -r '[.state] + [.containers[] | "\(.name):\(if .state == "moving" then (.step // .state) else .state end)"] | join("  ")' <<<"$status" 2>/dev/null || true)
        if [ -n "$line" ] && [ "$line" != "$last" ]; then
            printf '  %3d s  %s\n' $((SECONDS - flagged)) "$line"
            last=$line
        fi
        case $(jq -r '.state' <<<"$status") in failed | cancelled) break ;; esac
    elif [ "$($lab bmc node1 state 2>/dev/null)" = Off ]; then
        break
    fi
    sleep 0.3
done

# The node is off and tells nothing any more: its witness has the report.
report=
for _ in $(seq 1 100); do
    for node in node2 node3; do
        found=$($lab exec "$node" -- evacuator report --json 2>/dev/null) || continue
        if [ "$(jq -r '.node' <<<"$found")" = node1 ] && [ "$(jq -r '.power.state' <<<"$found")" != null ]; then report=$found; break 2; fi
    done
    [ -z "$status" ] || { report=$status; break; }
    sleep 0.5
done
total=$((SECONDS - flagged))
[ -n "$report" ] || die "no peer has a report of node1's evacuation; see: EVACUATOR_LAB=demo lab/lab exec node2 -- journalctl -u evacuator"
sleep 1

say "6. What the outside saw"
for pid in "${clients[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
for pid in "${clients[@]}"; do wait "$pid" || true; done
clients=()
mkdir -p artifacts
observed=$(for line in "${containers[@]}"; do read -r name _ <<<"$line"; cat "$work/$name.client"; done | jq -s .)
# Where the containers really run now, asked of runc and of nothing of ours.
running=$(for node in node2 node3; do $lab exec "$node" -- runc list --format json | jq -c --arg node "$node" '.[]? | select(.status == "running") | {name: .id, node: $node}'; done | jq -s .)
power=$($lab bmc node1 state)
led=$($lab bmc node1 led)
jq -n --argjson report "$report" --argjson observed "$observed" --argjson running "$running" --arg power "$power" --arg led "$led" --argjson total "$total" '
    {
        containers: [$report.containers[] as $c | ($observed[] | select(.name == $c.name)) as $o | {
            name: $c.name, from: $c.from, to: $c.to,
            running_on: [$running[] | select(.name == $c.name) | .node],
            freeze_ms: $c.freezeMs, freeze_parts: $c.freezeParts, client_pause_ms: $o.longest_pause_ms, connection_kept: $o.connection_kept, errors: $o.errors
        }],
        connections: {open: ($observed | length), kept: ([$observed[] | select(.connection_kept)] | length)},
        acknowledged_writes_lost: ([$observed[].lost] | add),
        empty_proof: {passed: $report.emptiness.passed, checked: [$report.emptiness.looks[-1].checks[]? | {name, examined}]},
        power: {state: $power, verified_by: $report.power.verifiedBy},
        led: $led, total_s: $total
    }' >artifacts/demo.json

jq -r '.containers[] | [.name, .from, (.running_on | join("+")), .freeze_ms, .client_pause_ms, (if .connection_kept then "kept" else "LOST" end)] | @tsv' artifacts/demo.json |
    awk -F'\t' 'BEGIN { printf "  %-10s %-8s %-10s %10s %14s  %s\n", "container", "from", "runs on", "frozen ms", "client paused", "connection" }
        { printf "  %-10s %-8s %-10s %10.0f %11.0f ms  %s\n", $1, $2, $3, $4, $5, $6 }'
jq -r '"\n  connections kept      \(.connections.kept) of \(.connections.open)\n  acknowledged writes   \(.acknowledged_writes_lost) lost\n  empty                 \(if .empty_proof.passed then "proven twice: " + ([.empty_proof.checked[] | "\(.name) \(.examined)"] | join(", ")) else "NOT PROVEN" end)\n  node1                 \(.power.state), verified by \(.power.verified_by // "nobody")\n  locator LED           \(.led)\n  from alarm to off     \(.total_s) s"' artifacts/demo.json
jq -e '
    (.containers | length) == 6
    and all(.containers[]; (.running_on | length) == 1 and .running_on[0] == .to and .connection_kept and .errors == 0)
    and .connections.kept == 6 and .acknowledged_writes_lost == 0 and .empty_proof.passed
    and .power.state == "Off" and .power.verified_by != null and .led == "on"' artifacts/demo.json >/dev/null \
    || die "something is not as it should be: artifacts/demo.json; node1 said: $(jq -r '.summary, .problem' <<<"$report" | paste -sd' ')"
printf '\n  node1 is safe to pull. Everything took %d s; details in artifacts/demo.json\n' $((SECONDS - started))
