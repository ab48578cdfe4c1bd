#!/usr/bin/env bash
# Sets everything up and runs all tests: fast ones, proofs against the kernel (root), and lab tests with several systemd nodes (root).
# Usage: ./test.sh [--fast]      --fast leaves the lab out
set -euo pipefail
cd "$(dirname "$0")"

results=artifacts/test-results
rm -rf "$results"
mkdir -p "$results"

if ! command -v dotnet >/dev/null; then
    echo "test.sh needs the .NET 10 SDK (dotnet)" >&2
    exit 1
fi

export EVACUATOR_NO_LAB=""
[ "${1:-}" != --fast ] || EVACUATOR_NO_LAB="left out by --fast"
if [ "$(id -u)" = 0 ]; then
    # A C compiler and the headers for the kernel proofs, tools for namespaces; the lab and the package's build script install their own.
    missing=()
    for package in gcc libc6-dev linux-libc-dev iproute2 procps curl shellcheck; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
fi

# One rack for all lab tests, of its own name so that it meets no rack that somebody works with.
export EVACUATOR_LAB=test
cleanup() {
    if [ -z "$EVACUATOR_NO_LAB" ] && [ "$(id -u)" = 0 ]; then
        lab/lab down >/dev/null 2>&1 || true
    fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

dotnet build Evacuator.sln -nologo -v quiet
if [ -z "$EVACUATOR_NO_LAB" ] && [ "$(id -u)" = 0 ]; then
    packaging/deb/build.sh
fi

status=0
for project in tests/*.Tests; do
    name=$(basename "$project")
    echo "== $name"
    dotnet test "$project" --no-build -nologo -v quiet --logger "trx;LogFileName=$name.trx" --results-directory "$results" || status=1
done

# The counters of every project, added up; a project whose tests never ran has no file and counts as one failure.
passed=0 failed=0 skipped=0
for project in tests/*.Tests; do
    file=$results/$(basename "$project").trx
    counters=$(grep -o '<Counters [^>]*>' "$file" 2>/dev/null || true)
    if [ -z "$counters" ]; then
        echo "no result of $(basename "$project")" >&2
        failed=$((failed + 1)) status=1
        continue
    fi
    count() { sed -E "s/.* $1=\"([0-9]+)\".*/\1/" <<<"$counters"; }
    passed=$((passed + $(count passed)))
    failed=$((failed + $(count failed) + $(count error) + $(count timeout) + $(count aborted)))
    skipped=$((skipped + $(count total) - $(count executed)))
done
echo "$passed passed, $failed failed, $skipped skipped"
exit $status
