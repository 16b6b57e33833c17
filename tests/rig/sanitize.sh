# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# Sourced by run.sh: the quick tests under every sanitizer and under valgrind, and the analysers on the
# sources. None may find anything; each suppression has its reason beside it, in
# tests/rig/tsan.supp, tests/rig/helgrind.supp, .clang-tidy and .ci/cppcheck-suppressions.txt.
need clang clang
need libclang-rt-dev /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.msan-*
need clang-tidy clang-tidy
need cppcheck cppcheck
need valgrind valgrind
install_missing

# tests_under PRESET [ctest option...]: runs the quick tests with the instruments of a preset.
tests_under() {
    preset=$1
    build=build/$1
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
# The Python tests run programs, which valgrind would not follow. test_timing makes so many calls on its
# virtual clock, in one thread, that it would take minutes here; the other instruments cover it.
tests_under memcheck --tests-regex '^test_' --exclude-regex '^test_(timing|programs|count_cases)$'
# helgrind checks every byte of every send, and test_send makes thousands of sends of eight megabytes.
tests_under helgrind --tests-regex '^test_' --exclude-regex '^test_(timing|send|programs|count_cases)$'

# for_each_source COMMAND...: runs a command for each source of the library and the examples.
for_each_source() {
    find lib examples -name '*.c' | sort | xargs -P "$(processors)" -n 1 "$@"
}
options='-std=c11 -O1 -Iinclude -Ibuild/msan/include -Ilib'

gcc_analyser() {
    # shellcheck disable=SC2086 # a list of words
    for_each_source gcc $options -fanalyzer -Werror -c -o /dev/null
}

clang_analyser() {
    # shellcheck disable=SC2086 # a list of words
    for_each_source clang $options --analyze -Xclang -analyzer-werror -o /dev/null
}

tidy() {
    find lib examples tests docs -name '*.c' ! -path 'tests/checks/consumers/*' | sort |
        xargs -P "$(processors)" -n 1 clang-tidy --quiet -p build/msan
}

cppcheck_all() {
    cppcheck --quiet --std=c11 --enable=warning,style,performance,portability --error-exitcode=1 \
        --inline-suppr --suppressions-list=.ci/cppcheck-suppressions.txt -j "$(processors)" \
        -I include -I build/msan/include -I lib lib examples
}

analysers=build/msan/analysers.log
findings=build/msan/findings
number=0
: >"$analysers"
for analyser in gcc_analyser clang_analyser tidy cppcheck_all; do
    number=$((number + 1))
    echo "$analyser ..."
    if $analyser >"$findings" 2>&1; then
        echo "ok $number - $analyser finds nothing"
    else
        echo "not ok $number - $analyser finds something"
        sed 's/^/# /' "$findings"
    fi >>"$analysers"
done
echo "1..$number" >>"$analysers"

echo 'Figures:'
for results in $set_of_results; do
    echo "$results: $("$PYTHON" tests/checks/count_cases.py "$results" | tail -n 1)"
done
# shellcheck disable=SC2086 # a list of words
"$PYTHON" tests/checks/count_cases.py $set_of_results "$analysers"
