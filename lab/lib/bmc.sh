# shellcheck shell=bash
# One BMC for each node: a BmcSimulator process outside of the node, whose power switch is the node's.
#   RUN/bmc/nodeN/  its certificate's fingerprint, its model and control.sock, by which `lab bmc` acts behind Redfish's back

BMC_USER=evacuator

bmc_program() {
    local sources=("$LAB_DIR/BmcSimulator" "$LAB_DIR"/../Directory.*.props) hash
    hash=$(hash_of "${sources[@]}")
    cached bmc "$hash" 2 bmc_build
}

bmc_build() {
    say "building the BMC simulator (once)"
    command -v dotnet >/dev/null || die "the .NET SDK 10 is missing: it builds the BMC simulator"
    dotnet publish "$LAB_DIR/BmcSimulator" --configuration Release --nologo --verbosity quiet --output "$1"
}

# Starts the BMCs of all nodes, and returns when all listen. The nodes are still off.
bmc_up() {
    local program node state
    program=$(bmc_program)
    mkdir -p "$RUN/bmc"
    head -c 12 /dev/urandom | base64 | tr '+/' 'xy' >"$RUN/bmc/password"
    for node in $(node_names); do
        state=$RUN/bmc/$node
        mkdir -p "$state"
        detached "$CGROUP/bmc" "$state/log" nsenter --net="/run/netns/$NET" -- env DOTNET_gcServer=0 DOTNET_GCHeapHardLimit=0x10000000 \
            dotnet "$program/BmcSimulator.dll" --name "$node" --listen "$(node_bmc_address "$node"):443" --state-dir "$state" \
            --pid-file "$RUN/$node.pid" --on "$(bmc_command _node-on "$node")" --graceful "$(bmc_command _node-graceful "$node")" \
            --force-off "$(bmc_command _node-force-off "$node")" --user "$BMC_USER" --password-file "$RUN/bmc/password"
    done
    for node in $(node_names); do bmc_wait "$node"; done
}

# The shell command by which a BMC acts on its node.
bmc_command() { printf 'EVACUATOR_LAB=%q %q %q %q' "$LAB" "$LAB_DIR/lab" "$1" "$2"; }

bmc_wait() {
    local deadline=$((SECONDS + 60))
    until [ -s "$RUN/bmc/$1/fingerprint" ]; do
        [ $SECONDS -lt $deadline ] || die "the BMC of $1 does not start: $(tail -n 5 "$RUN/bmc/$1/log" 2>/dev/null)"
        sleep 0.1
    done
}

# bmc_control NODE METHOD PATH [BODY-FILE]: a request on the control socket, which asks for no password.
bmc_control() {
    local node=$1 method=$2 path=$3 body=("${@:4}")
    curl --silent --show-error --fail-with-body --max-time 10 --unix-socket "$RUN/bmc/$node/control.sock" -X "$method" \
        ${body:+--header 'Content-Type: application/json' --data-binary "@${body[0]}"} "http://bmc$path" ||
        die "the BMC of $node refused $method $path"
}

bmc_system() { bmc_control "$1" GET /redfish/v1/Systems | jq -r '.Members[0]["@odata.id"]'; }

# bmc_reset NODE TYPE: as an administrator would, over Redfish.
bmc_reset() {
    local node=$1 type=$2 system target
    system=$(bmc_system "$node")
    target=$(bmc_control "$node" GET "$system" | jq -r '.Actions["#ComputerSystem.Reset"].target')
    nsenter --net="/run/netns/$CLIENT" -- curl --silent --show-error --fail-with-body --insecure --max-time 30 \
        --user "$BMC_USER:$(<"$RUN/bmc/password")" --header 'Content-Type: application/json' \
        --data "{\"ResetType\":\"$type\"}" "https://$(node_bmc_address "$node")$target" || die "the BMC of $node refused $type"
}

BMC_USAGE="usage: lab bmc NODE power on|off|soft|state | state | led | event FILE | patch URI JSON | get URI"

bmc_act() {
    [ $# -ge 2 ] || die "$BMC_USAGE"
    local node=$1
    node_check "$node"
    [ -S "$RUN/bmc/$node/control.sock" ] || die "the BMC of $node is not there; see $RUN/bmc/$node/log"
    case $2:${3:-} in
        power:on) bmc_reset "$node" On ;;
        power:off) bmc_reset "$node" ForceOff ;;
        power:soft) bmc_reset "$node" GracefulShutdown ;;
        power:state | state:) bmc_control "$node" GET "$(bmc_system "$node")" | jq -r .PowerState ;;
        # One word for both ways in which BMCs tell of the locator LED.
        led:) bmc_control "$node" GET "$(bmc_system "$node")" |
            jq -r 'if .LocationIndicatorActive // (.IndicatorLED // "Off" | . != "Off") then "on" else "off" end' ;;
        event:?*)
            [ -f "$3" ] || die "no such file: $3"
            bmc_control "$node" POST /event "$3"
            ;;
        patch:?*)
            [ $# -eq 4 ] || die "$BMC_USAGE"
            bmc_control "$node" PATCH "$3" <(printf '%s' "$4") >/dev/null
            ;;
        get:?*) bmc_control "$node" GET "$3" | jq . ;;
        *) die "$BMC_USAGE" ;;
    esac
}
