#!/bin/bash
# SPDX-License-Identifier: MIT
# run.sh [MODEL..] - checks each model, then each of its mutants, which must fail. Exit 0: as
# expected; 1: a surprise; 77: spin or a compiler is missing. Prints one line a run.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cc=${CC:-cc}
command -v spin >/dev/null && command -v "${cc%% *}" >/dev/null || exit 77
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# verdict MODEL [DEFINE..]: clean | found | broken, and the figures, on one line
verdict() {
    local model=$1 dir=$tmp/$* errors
    shift
    mkdir -p "$dir" && cd "$dir" || return
    if ! spin "${@/#/-D}" -a "$here/$model.pml" >spin.log 2>&1 ||
        ! $cc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=2048 -DVECTORSZ=1024 -o pan pan.c >cc.log 2>&1; then
        echo "broken: $(cat spin.log cc.log 2>/dev/null | head -3 | tr '\n' ' ')"
        return
    fi
    timeout 60 ./pan -m200000 >pan.log 2>&1
    errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' pan.log)
    # A search that was cut short proves nothing.
    if grep -qi 'search not completed\|max search depth too small\|out of memory' pan.log &&
        [[ $errors == 0 ]]; then
        errors=
    fi
    case $errors in
    '') echo "broken: $(head -3 pan.log | tr '\n' ' ')" ;;
    0) echo "clean: $(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' pan.log) states" ;;
    *) echo "found: $(sed -n 's/^pan:1: *\(.*\) (at.*/\1/p' pan.log)" ;;
    esac
}

n=0
bad=0
expect() { # WANTED MODEL [DEFINE..]
    local is
    is=$(verdict "${@:2}")
    n=$((n + 1))
    if [[ $is == "$1:"* ]]; then
        echo "ok      ${*:2}: $is"
    else
        echo "FAILED  ${*:2}: wanted $1, got $is"
        bad=$((bad + 1))
    fi
}

(($#)) || set -- runq sleep park owner bias select handoff pin
for model; do
    expect clean "$model"
    also=$(sed -n 's/^\/\/ Also: *\(-D[^:]*\):.*/\1/p' "$here/$model.pml")
    [[ $also ]] && expect clean "$model" ${also//-D/}
    mutants=$(grep -o '^// *\(Mutants: \)\? *MUTANT_[A-Z0-9_]*' "$here/$model.pml" | grep -o 'MUTANT.*')
    [[ $mutants ]] || { echo "FAILED  $model: names no mutant"; bad=$((bad + 1)); }
    for mutant in $mutants; do expect found "$model" "$mutant"; done
done
echo "spin: $n runs, $bad surprises"
((bad == 0))
