#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the Debian packages in build/package/packages, and lists them. Installs missing packages first.
#
# usage: sh cmake/packaging/debs.sh [BUILD_DIR]
set -eu
cd "$(dirname "$0")/../.."
. cmake/need.sh

build=${1:-build/package}

need_compiler
need python3 /usr/bin/python3 python3
need doxygen doxygen
need graphviz dot
need doxygen-awesome-css /usr/share/doxygen-awesome-css
need dpkg-dev dpkg-shlibdeps
need file file
install_missing
prefer_ninja
find_python

cmake --preset package -B "$build" "-DPython3_EXECUTABLE=$PYTHON"
cmake --build "$build" --parallel "$(processors)"
cmake --build "$build" --target docs
rm -rf "$build/packages"
(cd "$build" && cpack)
rm -rf "$build/packages/_CPack_Packages"
ls "$build"/packages/*.deb
