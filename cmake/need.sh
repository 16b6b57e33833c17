# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# Sourced by scripts that install what they need: finds the missing packages and installs them. Their names
# are those of Debian and Ubuntu.
missing=

# need PACKAGE THING...: the package is missing unless one of the things (commands or absolute paths) exists.
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

# What the library needs to be built.
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

# Says which packages are missing and installs them; where it cannot, it lists them and exits.
install_missing() {
    [ -n "$missing" ] || return 0
    echo "Missing packages, to be installed with apt-get:$missing" >&2
    # Scripts that run at the same time install one after the other.
    # shellcheck disable=SC2086 # a list of words
    if ! command -v apt-get >/dev/null ||
        ! as_root flock "${TMPDIR:-/tmp}/netbasics-install" sh -c '
            export DEBIAN_FRONTEND=noninteractive
            apt-get -q update && apt-get -q install -y --no-install-recommends "$@"' sh $missing >&2; then
        echo "Cannot install packages here. Please install these, or their equivalents:$missing" >&2
        exit 1
    fi
    missing=
}

# Sets PYTHON, which runs the scripts, to the system's own Python unless that is too old. Another Python that
# comes first in PATH may have modules that other machines lack.
find_python() {
    for candidate in "${PYTHON:-/usr/bin/python3}" python3; do
        PYTHON=$(command -v "$candidate") &&
            "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 9))' && return
    done
    echo 'Python 3.9 or newer is missing.' >&2
    exit 1
}

# Prefers Ninja, which is faster, to CMake's default.
prefer_ninja() {
    if [ -z "${CMAKE_GENERATOR:-}" ] && command -v ninja >/dev/null; then
        export CMAKE_GENERATOR=Ninja
    fi
}

# The number of processors to build and test with.
processors() {
    getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2
}
