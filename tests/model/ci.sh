#!/bin/bash
# SPDX-License-Identifier: MIT
# ci.sh [SEEDS] - all that stands in this folder: the scenes, SEEDS generated scenarios, the mutants,
# the Spin models. The last line counts claims; the exit code is 1 if one of them failed.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0

COIR_SEEDS=${1:-20000} "$here/run.sh" ci 2>&1 | tee "$log" || code=1
claims=$(grep -cE '^(passed|found|FAILED|mutant) ' "$log")
failed=$(grep -cE '^(mutant [^ ]+: )?FAILED ' "$log")
if [[ -x $here/spin/run.sh ]]; then
    claims=$((claims + 1))
    "$here/spin/run.sh" || failed=$((failed + 1))
fi
if ((code && !failed)) || ((claims == 0)); then failed=1; fi
echo "model: $claims claims, $failed failed"
((failed == 0))
