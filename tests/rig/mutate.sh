# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# Sourced by run.sh: negates conditionals of lib/, either a sample (NETBASICS_MUTANTS of them, chosen by
# NETBASICS_SEED) or, at full length, all, and counts how many of these mutants the tests notice.
preset=${preset:-coverage}
build=${build:-build/$preset}
configure_and_build
set -- --sample "${NETBASICS_MUTANTS:-150}"
[ -z "${NETBASICS_NIGHTLY:-}" ] || set -- --faults
"$PYTHON" tests/rig/mutate/mutate.py "$build" "$@" --seed "${NETBASICS_SEED:-1}" >"$build/mutate.log" || true
echo 'Figures:'
"$PYTHON" tests/checks/count_cases.py --show "$build/mutate.log"
