#!/bin/bash
# SPDX-License-Identifier: MIT
# build.sh OUT [SOURCES] - compiles the library of the tree SOURCES for the simulator, and the
# simulator of this tree; OUT/model is the program.
#
# The library's objects are joined into one, whose data gets a section of its own: the simulator
# puts it back before every run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$1
src=${2:-$root}
cc=${MODEL_CC:-gcc}
mkdir -p "$out"
flags=(-std=gnu17 -O2 -g -D_GNU_SOURCE -DCOIR_MODEL=1 -fno-pie -fno-common -fno-stack-protector
       -U_FORTIFY_SOURCE -Wno-psabi -fcf-protection=none -Wall -Wextra)

objects() { # FOLDER OPTIONS -- FILES
    local folder=$1 options=() file
    shift
    while [[ $1 != -- ]]; do options+=("$1"); shift; done
    shift
    mkdir -p "$folder"
    export MODEL_COMMAND="$cc ${flags[*]} ${options[*]}"
    for file; do
        echo "$file $folder/$(basename "$(dirname "$file")")_$(basename "$file").o"
    done | xargs -P "${JOBS:-2}" -L 1 bash -c 'exec $MODEL_COMMAND -c "$0" -o "$1"'
}

# Of the library everything that meson builds but the seam's Linux half, and panic: that ends the
# run, not the process.
lib=()
for folder in arch base netpoll sched sync io runtime; do
    for file in $(grep -o "'[^']*\.[cS]'" "$src/$folder/meson.build" | tr -d "'"); do
        case $folder/$file in
        base/platform_*.c | base/panic.c | arch/aarch64/*) ;;
        *) lib+=("$src/$folder/$file") ;;
        esac
    done
done
objects "$out/lib" "-I$src" "-I$src/include" -- "${lib[@]}"
cat >"$out/lib.ld" <<'SCRIPT'
SECTIONS { lib_data : { BYTE(0) *(.data .data.* .bss .bss.* COMMON) } }
SCRIPT
ld -r -T "$out/lib.ld" -o "$out/lib.o" "$out"/lib/*.o

# MODEL_SIM: objects of the simulator that were built before (mutants share them).
if [[ -z ${MODEL_SIM:-} ]]; then
    objects "$out/sim" "-I$src" "-I$src/include" "-I$root" -Wconversion -Wshadow -Werror -- "$here"/*.c
    MODEL_SIM=$out/sim
fi
"$cc" -no-pie -o "$out/model" "$out/lib.o" "$MODEL_SIM"/*.o
