#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds netbasics, runs its time and echo servers and clients against each other, and shows what they
# print. Exits 0 only if all of it worked. Installs what is missing to build.
set -eu
cd "$(dirname "$0")/.."
. cmake/need.sh

build=build/demo
logs=$(mktemp -d)
servers=

clean_up() {
    # shellcheck disable=SC2086 # a list of words
    [ -z "$servers" ] || kill $servers 2>/dev/null || true
    rm -rf "$logs"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

fail() {
    echo "demo: $*" >&2
    exit 1
}

# build_programs: into $build/examples.
build_programs() {
    prefer_ninja
    echo "Building in $build ..."
    {
        cmake -B "$build" -DNETBASICS_BUILD_TESTS=OFF -DNETBASICS_BUILD_DOCS=OFF &&
            cmake --build "$build" --parallel "$(processors)"
    } >"$logs/build" 2>&1 || {
        cat "$logs/build" >&2
        fail "the build failed"
    }
}

# start NAME: starts a server on a free port and waits until it listens. Sets pid and log.
start() {
    log=$logs/$1
    : >"$log" # grep may come before the server
    "$build/examples/$1" localhost:0 >"$log" 2>&1 &
    pid=$!
    servers="$servers $pid"
    tries=0
    until grep -q '^Listening on ' "$log"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ] || ! kill -0 "$pid" 2>/dev/null; then
            cat "$log" >&2
            fail "$1 does not listen"
        fi
        sleep 0.1
    done
}

# run TEXT CLIENT ARGUMENTS...: runs a client, which must print a line that begins with the text.
run() {
    expected=$1
    client=$2
    shift 2
    echo "\$ $client $*"
    "$build/examples/$client" "$@" >"$logs/client" 2>&1 || {
        cat "$logs/client" >&2
        fail "$client failed"
    }
    sed 's/^/    /' "$logs/client"
    grep -q "^$expected" "$logs/client" || fail "$client did not print '$expected'"
}

# visit SERVER TEXT CLIENT: a whole life of a server, with a client at each address it listens on.
visit() {
    start "$1"
    sed -n 's/^Listening on //p' "$log" >"$logs/endpoints"
    while read -r endpoint; do
        run "$2" "$3" "$endpoint" </dev/null
    done <"$logs/endpoints"

    kill -TERM "$pid"
    wait "$pid" || fail "$1 exited with status $? after SIGTERM"
    servers=
    echo "\$ $1 localhost:0 (stopped by SIGTERM, exit 0)"
    sed 's/^/    /' "$log"
}

need_compiler
install_missing
build_programs
visit time_server 'The time got from the server is ' time_client
visit echo_server "Received 'Hello, world'" echo_client
echo "demo: everything worked"
