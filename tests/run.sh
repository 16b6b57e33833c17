#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds netbasics with warnings as errors, runs a part of its tests, and ends with the counts of their
# cases. Installs missing packages first.
set -eu
cd "$(dirname "$0")/.."
. cmake/need.sh

usage='usage: sh tests/run.sh [PART] [--preset NAME] [--build-dir DIR] [--nightly]

PART is quick (default; under two minutes), or one of the slow parts:
  faults     every system call fails in every way
  fuzz       hostile inputs, for NETBASICS_FUZZ_SECONDS (60) per fuzzer
  netns      bad networks, in network namespaces (as root)
  soak       large numbers, and races
  sanitize   the quick tests under sanitizers and valgrind
  analyse    static analysers on the sources
  docs       the web site in a browser, and the man pages
  package    the packages, the source archive and the binary interface, on a fresh Debian (as root);
             with --nightly also each of these parts, briefly, on a fresh Debian
  platforms  the C tests with another C library, on other processors (under qemu), at -O0 to -O3
             and with LTO; only those in NETBASICS_PLATFORMS, if it is set
  coverage   all parts except fuzz and soak, counting which lines and branches of the library run
  mutate     negates a sample of the conditionals of the library, and counts how many the tests notice

  --preset NAME    how to build: dev (default) or another preset of CMakePresets.json
  --build-dir DIR  where to build (default: build/NAME)
  --nightly        at full length (hours instead of minutes)

The last line is "N passed, N failed", followed by ", N skipped" if cases were skipped. The exit status
is 0 if cases ran and all passed. CC sets the compiler for a new build directory.'

part=quick
case ${1:-} in
quick | faults | fuzz | netns | soak | sanitize | analyse | docs | package | platforms | coverage | mutate)
    part=$1
    shift
    ;;
esac

preset=
build=
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        echo "$usage"
        exit 0
        ;;
    --nightly)
        export NETBASICS_NIGHTLY=1
        shift
        ;;
    --preset | --build-dir)
        [ $# -gt 1 ] || {
            echo "run.sh: $1 needs a value (see sh tests/run.sh -h)" >&2
            exit 2
        }
        if [ "$1" = --preset ]; then preset=$2; else build=$2; fi
        shift 2
        ;;
    *)
        echo "run.sh: unknown argument '$1' (see sh tests/run.sh -h)" >&2
        exit 2
        ;;
    esac
done
# configure_and_build: builds with $preset in $build.
configure_and_build() {
    cmake --preset "$preset" -B "$build" -DNETBASICS_WERROR=ON "-DPython3_EXECUTABLE=$PYTHON"
    cmake --build "$build" --parallel "$(processors)"
}

# What the tests on bad networks need. Only root may create network namespaces.
need_networks() {
    [ "$(id -u)" -eq 0 ] || return 0
    need iproute2 ip
    need nftables nft
}

# run_ctest NAME OPTION...: runs the tests that ctest's options select; the results go to $build/NAME.xml.
# count_cases.py decides whether something failed, because it sees each case. Tests mostly
# wait, so two run at a time on each processor, unless an option says otherwise.
run_ctest() {
    results=$1.xml
    shift
    rm -f "$build/$results"
    ctest --parallel "$(($(processors) * 2))" "$@" --test-dir "$build" --timeout 600 \
        --output-junit "$results" \
        --test-output-size-passed 10000000 --test-output-size-failed 10000000 || true
}

# run_quick NAME OPTION...: the same for the tests that are not in a slow part.
run_quick() {
    run_ctest "$@" --label-exclude '^(faults|fuzz|netns|soak|docs|package)$'
}

need_compiler
need g++ "${CXX:-c++}"
need libcmocka-dev /usr/include/cmocka.h /usr/local/include/cmocka.h
need pkg-config pkg-config
need make make
need python3 /usr/bin/python3 python3
need netcat-openbsd nc
if [ "$part" = docs ]; then
    need doxygen doxygen
    need graphviz dot
    need doxygen-awesome-css /usr/share/doxygen-awesome-css
    need man-db man
    need mandoc mandoc
    need npm npm
    need chromium chromium chromium-browser
fi
if [ "$part" = package ]; then
    need abigail-tools abidiff
    need debootstrap debootstrap
    need git git
    need lintian lintian
fi
if [ "$part" = netns ]; then need_networks; fi
install_missing
prefer_ninja
find_python

case $part in
quick)
    preset=${preset:-dev}
    build=${build:-build/$preset}
    configure_and_build
    run_quick quick
    "$PYTHON" tests/checks/count_cases.py "$build/quick.xml"
    ;;
faults | netns | soak | docs | package)
    preset=${preset:-dev}
    build=${build:-build/$preset}
    configure_and_build
    run_ctest "$part" --label-regex "^$part\$"
    "$PYTHON" tests/checks/count_cases.py --show "$build/$part.xml"
    ;;
*)
    # shellcheck source=tests/rig/coverage.sh
    . "tests/rig/$part.sh"
    ;;
esac
