#!/bin/bash
# SPDX-License-Identifier: MIT
# trace.sh MODEL --scene NAME --seed N --replay DECISIONS - every point of one run: number, worker,
# what it was, where in the source. A failing seed's command line goes behind this name.
set -euo pipefail
points=$(mktemp)
trap 'rm -f "$points"' EXIT
"$@" --trace >"$points" || true
grep -v ' 0x' "$points" || true
grep ' 0x' "$points" | awk '{print $4}' | addr2line -f -s -e "$1" | paste - - |
    paste -d ' ' <(grep ' 0x' "$points") - |
    awk 'BEGIN { split("point load store rmw fence hog idle end", name) }
         { print $1, $2, ($3 in name ? name[$3] : "call"), $5, $6 }'
