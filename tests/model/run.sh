#!/bin/bash
# SPDX-License-Identifier: MIT
# run.sh quick|ci|full [BUILD] - the real scheduler under seeds.
#
#     quick   every scene a little, each seed twice with the same hash (half a minute)
#     ci      every scene, COIR_SEEDS generated ones (default 20,000), every mutant (3 minutes)
#     full    a million generated ones, then as ci
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mode=${1:-ci}
out=${2:-$here/../../build-simulator}
seeds=${COIR_SEEDS:-20000}
export JOBS=${JOBS:-2}
failed=0

run() { "$out/model" -j "$JOBS" "$@" || failed=1; }

"$here/build.sh" "$out" || exit 1
case $mode in
quick)
    run --scene all --seeds 1..300 --twice
    run --scene generated --seeds 1..3000 --arrows
    ;;
ci | full)
    run --scene all --seeds 1..1000 --twice
    run --scene all --seeds 1001..5000
    [[ $mode == full ]] && run --scene generated --seeds 1..1000000 --arrows
    run --scene generated --seeds "1..$seeds" --arrows
    "$here/mutants.sh" "$out" 20000 || failed=1
    ;;
*)
    sed -n '3,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
((failed)) && echo "model: FAILED" || echo "model: passed"
exit "$failed"
