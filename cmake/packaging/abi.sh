#!/bin/sh
# SPDX-License-Identifier: MIT
# Compares the binary interface of the shared library with its committed description, lib/netbasics.abi.
# With --update the description is written anew: for a release, and for what was only added since.
# Installs what is missing for that.
#
# usage: sh cmake/packaging/abi.sh [--update]
set -eu
cd "$(dirname "$0")/../.."
. cmake/need.sh

need_compiler
need abigail-tools abidiff
install_missing
prefer_ninja

# Debugging information is what the description is made of.
build=build/abi
cmake -B "$build" -DCMAKE_BUILD_TYPE=Debug -DNETBASICS_BUILD_EXAMPLES=OFF \
    -DNETBASICS_BUILD_TESTS=OFF -DNETBASICS_BUILD_DOCS=OFF >/dev/null
cmake --build "$build" --target netbasics_shared --parallel "$(processors)" >/dev/null
library=$build/libnetbasics.so

if [ "${1:-}" = --update ]; then
    abidw --headers-dir include --headers-dir "$build/include" --drop-private-types \
        --no-corpus-path --no-comp-dir-path --short-locs --no-show-locs --type-id-style hash \
        --out-file lib/netbasics.abi "$library"
    exit
fi
abidiff --headers-dir2 include --headers-dir2 "$build/include" --drop-private-types \
    lib/netbasics.abi "$library" && echo 'The binary interface is as lib/netbasics.abi describes it.'
