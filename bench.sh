#!/usr/bin/env bash
# Measures the engine on a rack of two nodes on this machine, beside plain `runc checkpoint` and `runc restore` of the same containers:
# a table on the screen, artifacts/bench.json, charts in artifacts/bench-*.svg.
# Usage: ./bench.sh [--quick] [--only CASE[,CASE]...] [--runs N] [--no-plain] [--keep]
#   --quick      the small cases, each once        --only       only these (64mib 1gib 4gib redis processes50 threads200 vmas10000 parallel overhead wire fill)
#                                                simulation, alone: rolling maintenance of 1,000 nodes with 50,000 containers, 5 % at once, the real planner and a real etcd; no rack
#                                                planner, alone: how long a plan takes with 1,000 peers and 500 containers; no rack
#   --runs N     moves of each container (3); the median counts          --no-plain   leave plain runc out
#   --keep       leave the rack up and use it again the next time with --keep (EVACUATOR_LAB=bench lab/lab down removes it)
set -euo pipefail
cd "$(dirname "$0")"

[ "$(id -u)" = 0 ] || { echo "bench.sh needs root: it makes namespaces, mounts and nodes" >&2; exit 1; }
command -v dotnet >/dev/null || { echo "bench.sh needs the .NET 10 SDK (dotnet)" >&2; exit 1; }
keep=''
arguments=()
for argument in "$@"; do
    case $argument in
        --keep) keep=1 ;;
        -h | --help) sed -n '2,9s/^# //p' "$0"; exit 0 ;;
        *) arguments+=("$argument") ;;
    esac
done

export EVACUATOR_LAB=bench
lab=lab/lab
bench=
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
    trap '' INT TERM
    if [ -n "$bench" ]; then
        kill -TERM "$bench" 2>/dev/null || true
        wait "$bench" || true
    fi
    [ -n "$keep" ] || $lab down >/dev/null 2>&1 || true
}
trap cleanup EXIT
trap 'exit 130' INT TERM

simulation() {
    keep=1 # There is no rack.
    dotnet build tests/Simulation --configuration Release -nologo -v quiet
    mkdir -p artifacts
    dotnet tests/Simulation/bin/Release/net10.0/Simulation.dll "$@"
}

case ${arguments[*]-} in
    '--only simulation')
        tests/get-etcd.sh
        simulation 1000 50000 5 artifacts/simulation.json
        exit
        ;;
    '--only planner')
        simulation planner 1000 500 31 artifacts/planner.json
        exit
        ;;
esac

dotnet build tests/Bench --configuration Release -nologo -v quiet
# Wrong options are told now, and not when a package and a rack have been made for them.
dotnet tests/Bench/bin/Release/net10.0/Bench.dll check ${arguments[@]+"${arguments[@]}"} || { keep=1; exit 2; }
packaging/deb/build.sh >/dev/null
if [ -z "$keep" ] || [ "$($lab status --json | jq -r .up)" != true ]; then $lab up 2; fi
# In the background, so that this shell hears of Ctrl-C at once and the measuring can end in order.
dotnet tests/Bench/bin/Release/net10.0/Bench.dll rack . "$EVACUATOR_LAB" ${arguments[@]+"${arguments[@]}"} &
bench=$!
status=0
wait "$bench" || status=$?
bench=
exit "$status"
