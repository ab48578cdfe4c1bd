#!/usr/bin/env bash
# Sets everything up and runs all tests: fast ones, proofs against the kernel (root), and lab tests with several systemd nodes (root).
# Usage: ./test.sh [--fast]      --fast leaves the lab out
set -euo pipefail
cd "$(dirname "$0")"

case ${1:-} in
    --fast | '') ;;
    *) sed -n '2,3s/^# //p' "$0" >&2; exit 2 ;;
esac

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
    for package in gcc libc6-dev spin linux-libc-dev iproute2 procps curl shellcheck; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
    tests/get-etcd.sh
fi

# Two racks for the lab tests, of names of their own so that they meet no rack that somebody works with: one from the beginning, one, for the
# classes below, when all else is through. Nodes mostly wait, and one rack alone would leave a processor idle until the end.
export EVACUATOR_LAB=test
second_rack=test2
second=(Evacuations.Killed MemoryKeptTests CutLoopTests RoundTripTests ShutdownTests)
second_half=$(printf '|FullyQualifiedName~%s' "${second[@]}")
first_half=$(printf '&FullyQualifiedName!~%s' "${second[@]}")
lab_tests=
package=
# With all that it started: a job in the background does not hear of Ctrl-C.
end_tree() {
    local child
    for child in $(ps -o pid= --ppid "$1" 2>/dev/null || true); do end_tree "$child"; done
    kill "$1" 2>/dev/null || true
}
cleanup() {
    [ -z "$lab_tests" ] || end_tree "$lab_tests"
    [ -z "$package" ] || end_tree "$package"
    if [ -z "$EVACUATOR_NO_LAB" ] && [ "$(id -u)" = 0 ]; then
        lab/lab down >/dev/null 2>&1 || true
        EVACUATOR_LAB=$second_rack lab/lab down >/dev/null 2>&1 || true
    fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Both compile one project after the other, in folders of their own, so side by side they use what two processors have.
if [ -z "$EVACUATOR_NO_LAB" ] && [ "$(id -u)" = 0 ]; then
    packaging/deb/build.sh >"$results/package.log" 2>&1 &
    package=$!
fi
dotnet build Evacuator.sln -nologo -v quiet
if [ -n "$package" ]; then
    wait "$package" || {
        cat "$results/package.log" >&2
        exit 1
    }
    package=
fi

# PROJECT RESULT [FILTER]
run() {
    echo "== $2"
    dotnet test "$1" --no-build -nologo -v quiet --logger "trx;LogFileName=$2.trx" --results-directory "$results" ${3:+--filter "$3"} </dev/null || true
}

# The lab tests mostly wait for nodes, and are by far the longest: all others run beside them.
run tests/Lab.Tests Lab.Tests "${first_half:1}" >"$results/Lab.Tests.log" 2>&1 &
lab_tests=$!
runs=()
for project in tests/*.Tests; do
    name=$(basename "$project")
    runs+=("$name")
    [ "$project" = tests/Lab.Tests ] || run "$project" "$name"
done
runs+=(Lab.Tests.2)
EVACUATOR_LAB=$second_rack run tests/Lab.Tests Lab.Tests.2 "${second_half:1}"
wait "$lab_tests"
lab_tests=
cat "$results/Lab.Tests.log"

# A test that fails beside others on a crowded machine may only have been late. It gets one more try, alone; what passes then is named, so that
# it is seen and mended, and what fails twice has failed.
again() {
    local project=$1 file=$2 name methods second
    name=$(basename "$file" .trx)
    # testName="Namespace.Class.Method(arguments)" outcome="Failed"
    methods=$(grep -o '<UnitTestResult [^>]*outcome="Failed"' "$file" | sed -E 's/.*testName="([^"(]+).*/\1/' | sort -u)
    [ -n "$methods" ] && [ "$(wc -l <<<"$methods")" -le 5 ] || return 1
    second=$name.second
    dotnet test "$project" --no-build -nologo -v quiet --logger "trx;LogFileName=$second.trx" --results-directory "$results" \
        --filter "$(sed 's/^/FullyQualifiedName=/' <<<"$methods" | paste -sd'|')" >/dev/null || return 1
    while read -r method; do echo "passed at its second try, alone: $method"; done <<<"$methods"
}

# The names, messages and stacks of what failed, as a run far away shows nothing else. The file is XML with one element a line or more.
explain() {
    sed -n '/<UnitTestResult .*outcome="Failed"/,/<\/UnitTestResult>/p' "$1" | head -c 20000 |
        sed -E 's/^ *<UnitTestResult .*testName="([^"]*)".*/FAILED \1/; s/<[^>]*>//g; s/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&#xD;//g; s/&amp;/\&/g' | grep -v '^ *$' || true
}

# The counters of every run, added up; one whose tests never ran has no file and counts as one failure.
passed=0 failed=0 skipped=0
for name in "${runs[@]}"; do
    project=tests/${name%.2}
    file=$results/$name.trx
    counters=$(grep -o '<Counters [^>]*>' "$file" 2>/dev/null || true)
    if [ -z "$counters" ]; then
        echo "no result of $name" >&2
        failed=$((failed + 1))
        continue
    fi
    count() { sed -E "s/.* $1=\"([0-9]+)\".*/\1/" <<<"$counters"; }
    bad=$(($(count failed) + $(count error) + $(count timeout) + $(count aborted)))
    passed=$((passed + $(count passed)))
    skipped=$((skipped + $(count total) - $(count executed)))
    if [ "$bad" -gt 0 ] && again "$project" "$file"; then
        passed=$((passed + bad))
    else
        failed=$((failed + bad))
        explain "$file"
    fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
