#!/bin/bash
# SPDX-License-Identifier: MIT
# errno.sh ROOT COMPILER - builds errno.c and the whole library in one link at -O3 -flto, and runs it.
set -eu
root=$1 cc=$2
command -v "$cc" >/dev/null || { echo "skipped: no $cc"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
sources=("$root/tests/lib/test.c" "$root/tests/sched/errno.c")
for folder in arch base netpoll sched sync io runtime; do
    for file in $(grep -o "'[^']*\.[cS]'" "$root/$folder/meson.build" | tr -d "'"); do
        case $folder/$file in
        arch/*/*) [[ $file != "$(uname -m)"/* ]] || sources+=("$root/$folder/$file") ;;
        base/platform_noring.c) ;;
        *) sources+=("$root/$folder/$file") ;;
        esac
    done
done
flags=(-std=gnu17 -O3 -flto -g -D_GNU_SOURCE -pthread -I"$root" -I"$root/include")
if ! echo 'int main(void) { return 0; }' | "$cc" -x c - -O3 -flto -o "$tmp/try" 2>/dev/null; then
    echo "skipped: $cc cannot link with -flto here"
    exit 77
fi
read -ra libs <<<"$(pkg-config --cflags --libs liburing 2>/dev/null || echo -luring)"
export COMMAND="$cc ${flags[*]}"
for file in "${sources[@]}"; do
    echo "$file $tmp/$(basename "$(dirname "$file")")_$(basename "$file").o"
done | xargs -P 2 -L 1 bash -c 'exec $COMMAND -c "$0" -o "$1"'
"$cc" "${flags[@]}" "$tmp"/*.o "${libs[@]}" -o "$tmp/program"
"$tmp/program"
