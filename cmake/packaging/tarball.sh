#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes the source archive of the commit that is checked out: netbasics-VERSION.tar.gz, the same bytes
# wherever, whenever and in whatever locale it is made.
#
# usage: sh cmake/packaging/tarball.sh OUT_DIR
set -eu
cd "$(dirname "$0")/../.."

out=${1:?usage: sh cmake/packaging/tarball.sh OUT_DIR}
version=$(sed -n 's/^ *VERSION \([0-9.]*\)$/\1/p' CMakeLists.txt)
[ -n "$version" ] || {
    echo "tarball.sh: no line 'VERSION X.Y.Z' in CMakeLists.txt" >&2
    exit 1
}
mkdir -p "$out"
# git gives every file in the archive the time of the commit, and gzip -n adds no time of its own.
LC_ALL=C git -c tar.umask=0022 archive --format=tar --prefix="netbasics-$version/" HEAD |
    gzip -9n >"$out/netbasics-$version.tar.gz"
echo "$out/netbasics-$version.tar.gz"
