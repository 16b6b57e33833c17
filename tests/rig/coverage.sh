# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# Sourced by run.sh: which lines and branches of lib/ the tests run. The soak tests and the fuzzers are left
# out: they repeat much, but reach no further paths.
need gcovr gcovr
need_networks
install_missing

preset=${preset:-coverage}
build=${build:-build/$preset}
configure_and_build
find "$build" -name '*.gcda' -delete
run_ctest all --label-exclude '^(fuzz|soak|docs|package)$'
"$PYTHON" tests/rig/coverage.py "$build" >"$build/coverage.log" || true
echo 'Figures:'
"$PYTHON" tests/checks/count_cases.py --show "$build/all.xml" "$build/coverage.log"
