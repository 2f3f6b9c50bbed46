#!/bin/bash
# SPDX-License-Identifier: MIT
# mutants.sh FOLDER SEEDS [NAME..] - plants each fault of mutants/ in a copy of the sources and has
# the simulator look for it. A mutant that is not found, or that no longer changes its file, fails.
#
# FOLDER is where the clean model was built: its simulator's objects are used again.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$(cd "$1" && pwd)
seeds=$2
shift 2

field() { sed -n "s/^# $1: //p" "$2"; }

# Copies the library's folders, changes one file, builds, runs. Prints one line.
try() {
    local mutant=$1 name file dir text
    name=$(basename "$mutant" .sed)
    file=$(field file "$mutant")
    dir=$out/mutants/$name
    rm -rf "$dir" && mkdir -p "$dir/src"
    (cd "$root" && cp -r arch base include netpoll sched sync io runtime "$dir/src/")
    sed -f "$mutant" "$root/$file" >"$dir/src/$file"
    if cmp -s "$root/$file" "$dir/src/$file"; then
        echo "FAILED mutant $name: it no longer changes $file"
        return 1
    fi
    if ! MODEL_SIM=$out/sim JOBS=1 "$here/build.sh" "$dir" "$dir/src" >"$dir/log" 2>&1; then
        echo "FAILED mutant $name: it does not compile, see $dir/log"
        return 1
    fi
    text=$("$dir/model" --scene "$(field scene "$mutant")" --seeds "1..$seeds" --must-fail 2>&1)
    local code=$?
    echo "mutant $name: $text"
    return $code
}
export -f try field
export here root out seeds

names=("$@")
((${#names[@]})) || names=("$here"/mutants/*.sed)
printf '%s\0' "${names[@]}" | xargs -0 -n 1 -P "${JOBS:-2}" bash -c 'try "$0"'
