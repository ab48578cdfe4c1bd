#!/usr/bin/env bash
# What Debian users expect of the package, tried on a Debian 13 host that may be spoilt: install, join, upgrade, mistake, remove, purge.
# A container runs by plain runc all the time and must not notice.
#
#   packaging/deb/test.sh PACKAGE.deb      as root on that host, e.g. in a node of the lab:
#     lab/lab copy artifacts/evacuator_0.1.0_amd64.deb node1:/root/evacuator.deb
#     lab/lab copy packaging/deb/test.sh node1:/root/test.sh
#     lab/lab exec node1 -- bash /root/test.sh /root/evacuator.deb
#
# Prints a line for each check; exit code 1 if one failed.
set -uo pipefail

package=$(readlink -f "${1:?test.sh PACKAGE.deb}")
if [ "$(id -u)" != 0 ] || [ ! -d /run/systemd/system ]; then
    echo "needs root on a host that systemd has booted" >&2
    exit 2
fi
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive SYSTEMD_PAGER=
work=$(mktemp -d)
container="package-test"
failures=0
checks=0
trap 'runc delete -f $container >/dev/null 2>&1; rm -rf "$work"' EXIT

step() { printf '\n== %s\n' "$*"; }

# check TEXT CMD...: the command has to succeed.
check() {
    local text=$1
    shift
    checks=$((checks + 1))
    if "$@" >"$work/out" 2>&1; then
        printf 'ok      %s\n' "$text"
    else
        printf 'FAILED  %s\n' "$text"
        sed 's/^/        | /' "$work/out" | tail -20
        failures=$((failures + 1))
        return 1
    fi
}

# same TEXT EXPECTED ACTUAL
same() { check "$1" test "$2" = "$3"; [ "$2" = "$3" ] || printf '        | expected "%s", got "%s"\n' "$2" "$3"; }
absent() { check "$1 is gone" test ! -e "$1"; }
property() { systemctl show -P "$2" "$1.service"; }
meta() { stat -c '%U:%G %a' "$1"; }
installs() { apt-get install -y -qq --allow-downgrades "$1"; }

# The same package under a later version.
later_version() {
    dpkg-deb -R "$package" "$work/later"
    sed -i 's/^Version: .*/&+later1/' "$work/later/DEBIAN/control"
    dpkg-deb -b -Znone "$work/later" "$work/later.deb" >/dev/null
    rm -rf "$work/later"
}

container_start() {
    mkdir -p "$work/bundle/rootfs"
    (
        cd "$work/bundle" || exit
        for folder in usr bin lib lib64; do
            [ ! -L "/$folder" ] || cp -P "/$folder" rootfs/
        done
        mkdir -p rootfs/usr rootfs/proc rootfs/dev rootfs/sys
        cat >config.json <<JSON
{"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "process": {"user": {"uid": 0, "gid": 0}, "args": ["/usr/bin/sleep", "1800"], "env": ["PATH=/usr/bin"], "cwd": "/"},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}, {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["bind", "ro"]}],
 "linux": {"cgroupsPath": "/$container", "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}]}}
JSON
    )
    runc delete -f $container >/dev/null 2>&1
    # No pipe of ours may stay open in it.
    runc --log "$work/container.log" run -d --bundle "$work/bundle" $container </dev/null >/dev/null 2>&1 || { cat "$work/container.log"; return 1; }
}

container_pid() { runc state $container | sed -n 's/.*"pid": \([0-9]*\).*/\1/p'; }
container_lives() { [ "$(container_pid)" = "$pid" ] && [ "$(stat -c %Y "/proc/$pid")" = "$born" ]; }
running() {
    local unit
    for unit in evacuator-agent evacuator; do
        [ "$(property $unit ActiveState)" = active ] || { systemctl status --no-pager "$unit" || true; journalctl -n 20 --no-pager -u "$unit"; return 1; }
    done
}

step "before"
! dpkg -s evacuator >/dev/null 2>&1 || dpkg --purge evacuator >/dev/null 2>&1
rm -rf /etc/evacuator
systemctl reset-failed 'evacuator*' 2>/dev/null
check "a container runs by plain runc" container_start || exit 1
pid=$(container_pid)
born=$(stat -c %Y "/proc/$pid")

step "install"
check "apt installs it" installs "$package" || exit 1
same "it is configured" "install ok installed" "$(dpkg-query -W -f '${Status}' evacuator)"
# A host may be set up to leave out documentation.
check "files agree with its checksums" test -z "$(dpkg -V evacuator | grep -v ' /usr/share/doc/')"
check "there is a user evacuator without login" grep -q '^evacuator:[^:]*:[0-9]*:[0-9]*:[^:]*:/var/lib/evacuator:/usr/sbin/nologin$' /etc/passwd
check "its password is locked" grep -q '^evacuator:!' /etc/shadow
check "there is a group evacuator" getent group evacuator
same "/etc/evacuator belongs to root" "root:root 755" "$(meta /etc/evacuator)"
same "/etc/evacuator/evacuator.conf belongs to root" "root:root 644" "$(meta /etc/evacuator/evacuator.conf)"
check "evacuator.conf is a conffile" grep -q '^ /etc/evacuator/evacuator.conf ' <(dpkg-query -W -f '${Conffiles}\n' evacuator)
check "/etc/evacuator/evacuator.conf.d is there and empty" test -z "$(ls -A /etc/evacuator/evacuator.conf.d)"
for unit in evacuator-agent evacuator; do
    same "$unit is enabled" enabled "$(systemctl is-enabled $unit)"
    same "$unit waits for a fleet" "inactive no" "$(property $unit ActiveState) $(property $unit ConditionResult)"
    check "systemd-analyze verifies $unit" systemd-analyze verify --man=no "/usr/lib/systemd/system/$unit.service"
done
check "the command runs" evacuator --version
check "bash reads the completion" bash -n /usr/share/bash-completion/completions/evacuator
if [ -d /usr/share/man/man1 ] && [ -e /usr/share/man/man1/evacuator.1.gz ]; then
    check "the manual pages are there" zcat /usr/share/man/man1/evacuator.1.gz /usr/share/man/man5/evacuator.conf.5.gz /usr/share/man/man8/evacuator-agent.8.gz
fi
for script in postinst prerm postrm; do check "$script is plain sh" sh -n /var/lib/dpkg/info/evacuator.$script; done

step "join a fleet"
check "fleet init" evacuator fleet init --output "$work/fleet" "$(hostname)=127.0.0.1"
check "fleet join" evacuator fleet join "$work/fleet/$(hostname).join"
same "the brain's key is for group evacuator" "root:evacuator 640" "$(meta /etc/evacuator/tls/brain.key)"
same "the agent's key is for root alone" "root:root 600" "$(meta /etc/evacuator/tls/agent.key)"
check "the services start" systemctl start evacuator-agent evacuator
check "both run" running
same "the brain runs as evacuator" evacuator "$(stat -c %U "/proc/$(property evacuator MainPID)")"
brain=/proc/$(property evacuator MainPID)
agent=/proc/$(property evacuator-agent MainPID)
check "the brain has no capability" grep -q '^CapBnd:[[:space:]]*0*$' "$brain/status"
check "the brain can gain no privilege" grep -q '^NoNewPrivs:[[:space:]]*1$' "$brain/status"
same "the agent sees the host's mounts" "$(readlink /proc/1/ns/mnt)" "$(readlink "$agent/ns/mnt")"
check "the agent has no seccomp filter of its own" grep -q "^Seccomp:[[:space:]]*$(sed -n 's/^Seccomp:[[:space:]]*//p' /proc/1/status)\$" "$agent/status"
check "the agent's children may gain privileges" grep -q '^NoNewPrivs:[[:space:]]*0$' "$agent/status"
check "operators reach the socket, others do not" test "$(meta /run/evacuator) $(meta /run/evacuator/evacuator.sock)" = "evacuator:evacuator 750 evacuator:evacuator 660"
check "evacuator status answers" evacuator status
check "state is private" test "$(meta /var/lib/evacuator) $(meta /var/lib/evacuator-agent)" = "evacuator:evacuator 700 root:root 700"
for unit in evacuator-agent evacuator; do
    printf '        %s: %s\n' $unit "$(systemd-analyze security --no-pager $unit | tail -1)"
done

step "the agent is killed"
check "it has a process" test "$(property evacuator-agent MainPID)" -gt 1 && kill -9 "$(property evacuator-agent MainPID)"
for _ in $(seq 100); do
    [ "$(property evacuator-agent ActiveState)/$(property evacuator-agent NRestarts)" != active/1 ] || break
    sleep 0.1
done
same "systemd has started it again" active/1 "$(property evacuator-agent ActiveState)/$(property evacuator-agent NRestarts)"
check "the container has not noticed" container_lives

step "upgrade"
printf '\n# an administrator was here\n' >>/etc/evacuator/evacuator.conf
before="$(property evacuator MainPID) $(property evacuator-agent MainPID)"
identity=$(sha256sum /etc/evacuator/tls/* /etc/evacuator/peers.conf)
later_version
check "apt upgrades it" installs "$work/later.deb"
check "both run" running
check "both were restarted" test "$before" != "$(property evacuator MainPID) $(property evacuator-agent MainPID)"
check "the administrator's evacuator.conf is kept" grep -q 'an administrator was here' /etc/evacuator/evacuator.conf
same "the node's identity is kept" "$identity" "$(sha256sum /etc/evacuator/tls/* /etc/evacuator/peers.conf)"
check "the container has not noticed" container_lives
systemctl disable -q evacuator
check "the same again" installs "$package"
same "what an administrator disabled stays disabled" disabled "$(systemctl is-enabled evacuator)"
systemctl enable -q evacuator
systemctl start evacuator

step "a mistake in the configuration"
printf '[move]\nparalel = 3\nfreeze-budget = long\n' >/etc/evacuator/evacuator.conf.d/50-mistake.conf
systemctl restart evacuator evacuator-agent >/dev/null 2>&1
for unit in evacuator-agent evacuator; do
    same "$unit has not started, and not again and again" "failed 78 0" "$(property $unit ActiveState) $(property $unit ExecMainStatus) $(property $unit NRestarts)"
    for place in 'conf.d/50-mistake.conf:2: unknown key "paralel" in \[move\]; did you mean parallel?' 'conf.d/50-mistake.conf:3: freeze-budget = long'; do
        check "$unit names ${place%%: *}" grep -q "$place" <(journalctl --no-pager -u $unit)
    done
done
rm /etc/evacuator/evacuator.conf.d/50-mistake.conf
systemctl reset-failed
systemctl start evacuator-agent evacuator
check "without it both run" running

step "remove"
check "apt removes it" apt-get remove -y -qq evacuator
check "both are stopped" test -z "$(systemctl list-units --no-legend --state=active 'evacuator*.service')"
absent /usr/lib/evacuator
absent /usr/bin/evacuator
check "configuration, identity and state are kept" test -f /etc/evacuator/evacuator.conf -a -f /etc/evacuator/tls/agent.crt -a -d /var/lib/evacuator -a -d /var/lib/evacuator-agent
check "the container has not noticed" container_lives
check "apt installs it again" installs "$package"
check "both run, as the same node" running

step "purge"
check "apt purges it" apt-get purge -y -qq evacuator
for path in /etc/evacuator /var/lib/evacuator /var/lib/evacuator-agent /run/evacuator /run/evacuator-agent /usr/lib/evacuator; do absent $path; done
check "no unit is left enabled" test -z "$(find /etc/systemd/system -name 'evacuator*')"
check "the user stays, locked" grep -q '^evacuator:!' /etc/shadow
check "the container has not noticed" container_lives

printf '\n%d checks, %d failed\n' $checks $failures
[ $failures = 0 ]
