#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds netbasics with warnings as errors, runs a part of its tests, and ends with the counts of their
# cases. Installs what is missing for that.
set -eu
cd "$(dirname "$0")/.."
. cmake/need.sh

usage='usage: sh tests/run.sh [PART] [--preset NAME] [--build-dir DIR] [--nightly]

PART is quick (default; under two minutes), or one of the slow parts:
  faults    every system call fails in every way
  fuzz      hostile inputs, NETBASICS_FUZZ_SECONDS (60) of them for each fuzzer
  netns     bad networks, in namespaces of their own (as root)
  soak      great numbers and races
  sanitize  the quick tests under sanitizers and valgrind, and what analysers find in the sources
  docs      the site in a browser, and the man pages
  package   the packages, the source archive and the binary interface, on a new Debian (as root);
            with --nightly also each part of this, briefly, on a new Debian of its own
  platforms the C tests with another C library, on other processors (under qemu), at -O0 to -O3
            and with LTO; of these only NETBASICS_PLATFORMS, if it is set
  coverage  all of them but fuzz and soak, counting which lines and branches of the library run
  mutate    negates a sample of the conditionals of the library, and counts who notices

  --preset NAME    how to build: dev (default) or another one of CMakePresets.json
  --build-dir DIR  where to build; default build/NAME
  --nightly        at full length (hours), instead of minutes

The last line is "N passed, N failed", with ", N skipped" where that happened. The exit status is 0
when cases ran and all passed. CC chooses the compiler of a new build directory.'

part=quick
case ${1:-} in
quick | faults | fuzz | netns | soak | sanitize | docs | package | platforms | coverage | mutate)
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
# configure_and_build: what is in $build after it was made as $preset says.
configure_and_build() {
    cmake --preset "$preset" -B "$build" -DNETBASICS_WERROR=ON "-DPython3_EXECUTABLE=$PYTHON"
    cmake --build "$build" --parallel "$(processors)"
}

# What the tests on bad networks take, which only root may make.
need_networks() {
    [ "$(id -u)" -eq 0 ] || return 0
    need iproute2 ip
    need nftables nft
}

# run_ctest NAME OPTION...: the tests that ctest's options choose; the results go to $build/NAME.xml.
# Whether something failed is for count_cases.py to say, which sees each case.
run_ctest() {
    results=$1.xml
    shift
    rm -f "$build/$results"
    ctest "$@" --test-dir "$build" --timeout 600 --parallel "$(processors)" \
        --output-junit "$results" \
        --test-output-size-passed 10000000 --test-output-size-failed 10000000 || true
}

# run_quick NAME OPTION...: the same for the tests that belong to none of the slow parts.
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
