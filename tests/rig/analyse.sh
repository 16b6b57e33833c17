# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# Sourced by run.sh: what analysers find in the sources. All must find nothing; what is suppressed has its
# reason beside it, in .clang-tidy and .ci/cppcheck-suppressions.txt.
need clang clang
need clang-tidy clang-tidy
need cppcheck cppcheck
install_missing

# How clang compiles each source; nothing is built.
preset=${preset:-dev}
build=${build:-build/analyse}
CC=clang cmake --preset "$preset" -B "$build" "-DPython3_EXECUTABLE=$PYTHON"

# for_each_source COMMAND...: runs a command for each source of the library and the examples.
for_each_source() {
    find lib examples -name '*.c' | sort | xargs -P "$(processors)" -n 1 "$@"
}
options="-std=c11 -O1 -Iinclude -I$build/include -Ilib"

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
        xargs -P "$(processors)" -n 1 clang-tidy --quiet -p "$build"
}

cppcheck_all() {
    cppcheck --quiet --std=c11 --enable=warning,style,performance,portability --error-exitcode=1 \
        --inline-suppr --suppressions-list=.ci/cppcheck-suppressions.txt -j "$(processors)" \
        -I include -I "$build/include" -I lib lib examples
}

analysers=$build/analysers.log
findings=$build/findings
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

"$PYTHON" tests/checks/count_cases.py "$analysers"
