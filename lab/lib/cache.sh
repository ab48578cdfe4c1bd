# shellcheck shell=bash
# What is expensive to make is made once and kept as CACHE/KIND-HASH, HASH being that of everything that went in.

# hash_of FILE...: one short hash of the names and contents of files and folders, less what a build leaves there.
hash_of() {
    local part
    for part in "$@"; do
        (cd "$(dirname "$part")" && find "$(basename "$part")" -type d \( -name bin -o -name obj \) -prune -o -type f -print0 |
            sort -z | xargs -0 sha256sum)
    done | sha256sum | cut -c 1-16
}

# cached KIND HASH KEEP BUILDER ARG...: prints the path of CACHE/KIND-HASH; if it is not there, has BUILDER ARG... PATH make it.
# It appears whole or not at all: an interrupted build leaves only CACHE/tmp.*, which the next one removes. Of each kind the
# KEEP youngest stay, and those that a rack stands on.
cached() {
    local kind=$1 path=$CACHE/$1-$2 keep=$3 tmp
    shift 3
    mkdir -p "$CACHE"
    if [ ! -e "$path" ]; then
        exec 8>"$CACHE/lock"
        flock -n 8 || { say "waiting for what another rack is building" && flock 8; }
        if [ ! -e "$path" ]; then
            cache_clean_partial
            tmp=$(mktemp -d "$CACHE/tmp.XXXXXX")
            # A process of its own: in here the shell may be told by its caller to go on after errors.
            "$LAB_DIR/lab" _build "$@" "$tmp/made" >&2 || die "could not make $kind"
            touch "$tmp/made" # a tree comes with the age of its packages, and age is what trimming goes by
            mv "$tmp/made" "$path"
            rm -rf --one-file-system "$tmp"
            cache_trim "$kind" "$keep"
        fi
        exec 8>&-
    fi
    touch -c "$path"
    printf '%s\n' "$path"
}

cache_clean_partial() {
    local left
    for left in "$CACHE"/tmp.*; do
        [ -e "$left" ] || continue
        unmount_below "$left"
        rm -rf --one-file-system "$left"
    done
}

cache_trim() {
    local old
    # shellcheck disable=SC2012 # our own names, by age
    ls -dt "$CACHE/$1"-* | tail -n "+$(($2 + 1))" | while IFS= read -r old; do
        grep -qF "$old" /proc/self/mountinfo || rm -rf --one-file-system "$old"
    done
}

# build_program SOURCE... PATH: a static program from C sources.
build_program() {
    gcc -std=c17 -D_GNU_SOURCE -O2 -static -pthread -Wall -Wextra -Werror -o "${*: -1}" "${@:1:$#-1}"
}
