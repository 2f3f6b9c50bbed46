#!/bin/bash
# SPDX-License-Identifier: MIT
# matrix.sh ROOT BUILD SOURCE COMPILER FLAGS... - builds a program as a user would, and runs it.
# No warning is allowed; with -Wall -Wextra a spawn is as quiet as a call.
set -eu
root=$1 build=$2 source=$3 cc=$4
shift 4
command -v "$cc" >/dev/null || { echo "skipped: no $cc"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for c in "$source" "$root/tests/lib/test.c"; do
    "$cc" -std=gnu17 -D_GNU_SOURCE -g -Wall -Wextra -Wconversion -Wshadow -Werror \
        -Wno-unknown-warning-option -Wno-unused-command-line-argument "$@" -I"$root" \
        -I"$root/include" -c "$c" -o "$tmp/$(basename "$c").o"
done
"$cc" "$@" "$tmp"/*.o -L"$build" -lcoir -Wl,-rpath,"$build" -o "$tmp/program"
"$tmp/program"
