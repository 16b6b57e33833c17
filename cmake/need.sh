# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# Sourced by the scripts that set things up themselves: finds out which packages are missing, and
# installs them. The names are those of Debian and Ubuntu.
missing=

# need PACKAGE THING...: the package is missing unless one of the things, commands or absolute paths,
# is there.
need() {
    package=$1
    shift
    for thing; do
        case $thing in
        /*) if [ -e "$thing" ]; then return; fi ;;
        *) if command -v "$thing" >/dev/null; then return; fi ;;
        esac
    done
    missing="$missing $package"
}

# What it takes to build the library.
need_compiler() {
    need gcc "${CC:-cc}"
    need libc6-dev /usr/include/stdio.h
    need cmake cmake
    need ninja-build ninja make
}

# Runs a command as root, or fails.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif ! command -v sudo >/dev/null; then
        return 1
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# Installs what is missing and says so; where it cannot, names the packages and exits.
install_missing() {
    [ -n "$missing" ] || return 0
    echo "Missing, to be installed by apt-get:$missing" >&2
    # shellcheck disable=SC2086 # a list of words
    if ! command -v apt-get >/dev/null ||
        ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update >&2 ||
        ! as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -q install -y --no-install-recommends $missing >&2; then
        echo "Cannot install packages here. Please install these, or what they are called here:$missing" >&2
        exit 1
    fi
    missing=
}

# Sets PYTHON, what runs the scripts: the system's own Python, unless that is too old. Another one may
# stand in front of it in PATH, but what only that is able to do is not what others have.
find_python() {
    for candidate in "${PYTHON:-/usr/bin/python3}" python3; do
        PYTHON=$(command -v "$candidate") &&
            "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 9))' && return
    done
    echo 'Python 3.9 or newer is missing.' >&2
    exit 1
}

# Ninja is faster; whatever CMake takes by default does as well.
prefer_ninja() {
    if [ -z "${CMAKE_GENERATOR:-}" ] && command -v ninja >/dev/null; then
        export CMAKE_GENERATOR=Ninja
    fi
}

# How many processors there are to build and test with.
processors() {
    getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2
}
