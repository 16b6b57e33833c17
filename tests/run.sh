#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds netbasics with warnings as errors, runs all tests, and ends with the counts of their cases.
# Installs what is missing for that.
set -eu
cd "$(dirname "$0")/.."
. cmake/need.sh

usage='usage: sh tests/run.sh [--preset NAME] [--build-dir DIR]

  --preset NAME    dev (default), release, asan or tsan
  --build-dir DIR  where to build; default build/NAME

The last line is "N passed, N failed", with ", N skipped" where that happened. The exit status is 0
when cases ran and all passed. CC chooses the compiler of a new build directory.'

preset=dev
build=
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        echo "$usage"
        exit 0
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
build=${build:-build/$preset}

need_compiler
need g++ "${CXX:-c++}"
need libcmocka-dev /usr/include/cmocka.h /usr/local/include/cmocka.h
need pkg-config pkg-config
need python3 python3
need netcat-openbsd nc
install_missing
prefer_ninja

cmake --preset "$preset" -B "$build" -DNETBASICS_WERROR=ON
cmake --build "$build" --parallel "$(processors)"

# Whether something failed is for the last step to say, which sees each case.
junit=$(pwd)/$build/tests.xml
rm -f "$junit"
ctest --test-dir "$build" --parallel "$(processors)" --output-junit "$junit" \
    --test-output-size-passed 10000000 --test-output-size-failed 10000000 || true
python3 tests/count_cases.py "$junit"
