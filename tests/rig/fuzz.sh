# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# Sourced by run.sh: lets each fuzzer search for failing inputs for NETBASICS_FUZZ_SECONDS.
need clang clang
need libclang-rt-dev "$(clang -print-resource-dir 2>/dev/null)"/lib/linux/libclang_rt.fuzzer-*.a
install_missing

preset=${preset:-fuzz}
build=${build:-build/$preset}
cmake --preset "$preset" -B "$build" -DNETBASICS_WERROR=ON "-DPython3_EXECUTABLE=$PYTHON"
cmake --build "$build" --parallel "$(processors)" --target fuzzers
run_ctest fuzz --label-regex '^fuzz$' --parallel "$(processors)" # fuzzers never wait
"$PYTHON" tests/checks/count_cases.py --show "$build/fuzz.xml"
