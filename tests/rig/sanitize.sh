# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# Sourced by run.sh: the quick tests under every sanitizer and under valgrind. None may find anything; each
# suppression has its reason beside it, in tests/rig/tsan.supp and tests/rig/helgrind.supp.
need clang clang
need libclang-rt-dev /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.msan-*
need valgrind valgrind
install_missing

# tests_under PRESET [ctest option...]: runs the quick tests with the instruments of a preset. Valgrind's tools
# run the same programs.
tests_under() {
    preset=$1
    case $1 in
    memcheck | helgrind) build=build/valgrind ;;
    *) build=build/$1 ;;
    esac
    shift
    configure_and_build
    run_quick "$preset" "$@"
    set_of_results="$set_of_results $build/$preset.xml"
}

set_of_results=
tests_under asan
tests_under tsan
# A hundred thousand rounds of races, written for the thread sanitizer.
run_ctest races --tests-regex '^test_races$'
set_of_results="$set_of_results $build/races.xml"
# The memory sanitizer does not see what the dynamic linker writes about the libraries that it loads.
tests_under msan --exclude-regex '^test_(library|loader_lock|unload_lookup)$'
# The Python tests run programs, which valgrind would not follow. test_timing measures how late calls are,
# and here all are late; the other instruments cover it.
tests_under memcheck --tests-regex '^test_' --exclude-regex '^test_(timing|programs|count_cases)$'
# helgrind checks every byte of every send, and test_send makes thousands of sends of eight megabytes.
tests_under helgrind --tests-regex '^test_' --exclude-regex '^test_(timing|send|programs|count_cases)$'

echo 'Figures:'
for results in $set_of_results; do
    echo "$results: $("$PYTHON" tests/checks/count_cases.py "$results" | tail -n 1)"
done
# shellcheck disable=SC2086 # a list of words
"$PYTHON" tests/checks/count_cases.py $set_of_results
