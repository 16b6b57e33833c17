# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# Sourced by run.sh: the tests with other C libraries, word sizes, byte orders and processors, and at other
# levels of optimisation. Programs for other processors run under qemu's user mode; tests/rig/left_out/PLATFORM
# lists the tests that cannot work there, with the reasons.

# under_qemu TRIPLE PROCESSOR: the cross compiler, and what runs its programs.
under_qemu() {
    compiler=$1-gcc
    emulator="qemu-$2;-L;/usr/$1"
}

# platform NAME: sets its compiler, flags, level of optimisation, and what runs its programs (nothing: the
# machine itself).
platform() {
    compiler=gcc
    flags=
    level=2
    emulator=
    linker=
    lto=
    case $1 in
    gcc-*) ;;
    clang-*)
        compiler=clang
        linker=-fuse-ld=lld # the other one takes a plugin for objects of clang's
        ;;
    musl)
        compiler=musl-gcc
        ;;
    i686)
        compiler=i686-linux-gnu-gcc
        flags='-D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64'
        emulator="/usr/i686-linux-gnu/lib/ld-linux.so.2;--library-path;/usr/i686-linux-gnu/lib"
        ;;
    armhf) under_qemu arm-linux-gnueabihf arm ;;
    aarch64) under_qemu aarch64-linux-gnu aarch64 ;;
    s390x) under_qemu s390x-linux-gnu s390x ;;
    esac
    case $1 in
    *-O[023]) level=${1##*-O} ;;
    *-lto) lto=$(pwd)/tests/rig/lto.cmake ;;
    esac
}

platforms=${NETBASICS_PLATFORMS:-musl i686 s390x armhf aarch64 gcc-lto gcc-O0 gcc-O2 gcc-O3
    clang-lto clang-O0 clang-O2 clang-O3}

need clang clang
need lld lld
need llvm llvm-ar
need musl-tools musl-gcc
need qemu-user qemu-s390x
need dpkg-dev dpkg-source
need gcc-i686-linux-gnu i686-linux-gnu-gcc
need gcc-arm-linux-gnueabihf arm-linux-gnueabihf-gcc
need gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
need gcc-s390x-linux-gnu s390x-linux-gnu-gcc
need libc6-dev-i386-cross /usr/i686-linux-gnu/include/stdio.h
need libc6-dev-armhf-cross /usr/arm-linux-gnueabihf/include/stdio.h
need libc6-dev-arm64-cross /usr/aarch64-linux-gnu/include/stdio.h
need libc6-dev-s390x-cross /usr/s390x-linux-gnu/include/stdio.h
install_missing

root=$(pwd)/${build:-build/platforms}
mkdir -p "$root"

# cmocka is built for each platform from Debian's source package, found through a separate sources.list.
get_cmocka() {
    [ -d "$root/cmocka" ] && return
    apt=$root/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    echo 'deb-src http://deb.debian.org/debian bookworm main' >"$apt/sources.list"
    set -- -q -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache"
    apt-get "$@" update
    (cd "$apt" && apt-get "$@" source --download-only cmocka)
    dpkg-source --extract "$apt"/cmocka_*.dsc "$root/cmocka"
}

# The names of the tests that a platform leaves out, as a regular expression; "-" matches none.
left_out() {
    if [ -f "tests/rig/left_out/$1" ]; then
        sed -n 's/^\([a-z_0-9]*\) .*/^\1$/p' "tests/rig/left_out/$1" | paste -s -d '|'
    else
        echo -
    fi
}

# configure SOURCE BUILD OPTION...: for the current platform. CMake takes it for another system, for which
# the slow parts of the tests are not built.
configure() {
    source=$1
    there=$2
    shift 2
    if [ -n "$emulator" ]; then
        set -- "$@" "-DNETBASICS_TEST_RUNNER=$emulator" "-DCMAKE_CROSSCOMPILING_EMULATOR=$emulator"
    fi
    cmake -S "$source" -B "$there" -DCMAKE_SYSTEM_NAME=Linux "-DCMAKE_C_COMPILER=$compiler" \
        -DCMAKE_BUILD_TYPE=Release "-DCMAKE_C_FLAGS=$flags" "-DCMAKE_C_FLAGS_RELEASE=-O$level" "$@"
}

# build_platform NAME, after platform NAME.
build_platform() {
    configure "$root/cmocka" "$root/$1/cmocka" -DWITH_EXAMPLES=OFF &&
        cmake --build "$root/$1/cmocka" --target cmocka --parallel "$(processors)" &&
        configure . "$root/$1" -DNETBASICS_WERROR=ON -DNETBASICS_BUILD_DOCS=OFF \
            -DNETBASICS_BUILD_EXAMPLES=OFF -DNETBASICS_INSTALL=OFF "-DPython3_EXECUTABLE=$PYTHON" \
            ${lto:+"-DCMAKE_PROJECT_netbasics_INCLUDE=$lto"} "-DCMAKE_EXE_LINKER_FLAGS=$linker" \
            "-DCMAKE_MODULE_LINKER_FLAGS=$linker" \
            "-DCmocka_INCLUDE_DIR=$root/cmocka/include" \
            "-DCmocka_LIBRARY=$(find "$root/$1/cmocka" -name libcmocka.so)" &&
        cmake --build "$root/$1" --parallel "$(processors)"
}

# An additional case says whether the platform builds; the output of the build is in NAME/build.txt.
build_and_test() {
    platform "$1"
    mkdir -p "$root/$1"
    rm -f "$root/$1/tests.xml"
    if build_platform "$1" >"$root/$1/build.txt" 2>&1; then
        echo "ok 1 - $1 can be built" >"$root/$1/build.log"
        build=$root/$1
        run_quick tests --tests-regex '^(test|snippet)_' --exclude-regex "$(left_out "$1")"
    else
        echo "not ok 1 - $1 can be built" >"$root/$1/build.log"
        tail -n 50 "$root/$1/build.txt" | sed 's/^/# /' >>"$root/$1/build.log"
    fi
    echo 1..1 >>"$root/$1/build.log"
}

get_cmocka
set_of_results=
for platform in $platforms; do
    echo "$platform ..."
    build_and_test "$platform"
    set_of_results="$set_of_results $root/$platform/build.log"
    [ ! -e "$root/$platform/tests.xml" ] || set_of_results="$set_of_results $root/$platform/tests.xml"
done

echo 'Figures:'
for platform in $platforms; do
    if [ -e "$root/$platform/tests.xml" ]; then
        echo "$platform: $("$PYTHON" tests/checks/count_cases.py "$root/$platform/tests.xml" | tail -n 1)"
    else
        echo "$platform: cannot be built"
    fi
done
# shellcheck disable=SC2086 # a list of words
"$PYTHON" tests/checks/count_cases.py $set_of_results
