#!/bin/bash
# SPDX-License-Identifier: MIT
# docs.sh BUILD_FOLDER INCLUDE PAGE.. - every C program on these pages compiles without a warning,
# and runs to exit code 0. A page without one fails.
set -u
build=$1 include=$2
shift 2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

for page; do
    name=$(basename "$page" .md)
    awk -v to="$tmp/$name" '/^```c$/ { n++; on = 1; next } /^```$/ { on = 0 }
        on { print > (to "-" n ".c") }' "$page"
    [ -e "$tmp/$name-1.c" ] || { echo "no program found in $page"; exit 1; }
done
for source in "$tmp"/*.c; do
    program=${source%.c}
    for cc in gcc clang; do
        command -v $cc >/dev/null || continue
        $cc -Wall -Wextra -Werror -O2 -I"$include" "$source" -o "$program" -L"$build" -lcoir || exit 1
        LD_LIBRARY_PATH=$build timeout 20 "$program" ||
            { echo "$(basename "$program"): exit code $?"; exit 1; }
    done
done
