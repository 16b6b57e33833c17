#!/bin/sh
# SPDX-License-Identifier: MIT
# Compares the binary interface of the shared library with its committed description,
# cmake/packaging/netbasics.abi. With --update it rewrites the description: for a release, and for additions
# since then. Installs missing packages first.
#
# usage: sh cmake/packaging/abi.sh [--update]
set -eu
cd "$(dirname "$0")/../.."
. cmake/need.sh

need_compiler
need abigail-tools abidiff
install_missing
prefer_ninja

# The description is made from debugging information.
build=build/abi
cmake -B "$build" -DCMAKE_BUILD_TYPE=Debug -DNETBASICS_BUILD_EXAMPLES=OFF \
    -DNETBASICS_BUILD_TESTS=OFF -DNETBASICS_BUILD_DOCS=OFF >/dev/null
cmake --build "$build" --target netbasics_shared --parallel "$(processors)" >/dev/null

# Only what the installed headers show is the interface.
abidw --headers-dir include --headers-dir "$build/include" --drop-private-types \
    --no-corpus-path --no-comp-dir-path --short-locs --no-show-locs --type-id-style hash \
    --out-file "$build/now.abi" "$build/libnetbasics.so"

if [ "${1:-}" = --update ]; then
    cp "$build/now.abi" cmake/packaging/netbasics.abi
else
    abidiff cmake/packaging/netbasics.abi "$build/now.abi"
    echo 'The binary interface is as cmake/packaging/netbasics.abi describes it.'
fi
