#!/usr/bin/env bash
# Unpacks Debian's etcd into artifacts/etcd, for tests and the simulation: installed, it would run as a service of this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
[ ! -x artifacts/etcd/usr/bin/etcd ] || exit 0
mkdir -p artifacts
work=$(mktemp -d artifacts/etcd.XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download etcd-server 2>/dev/null || {
    apt-get -qq update
    apt-get -qq -o APT::Sandbox::User=root download etcd-server
}
mkdir etcd
dpkg-deb -x ./*.deb etcd
rm -rf ../etcd
mv etcd ../etcd
