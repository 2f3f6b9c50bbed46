#!/bin/bash
# SPDX-License-Identifier: MIT
# build.sh SOURCE_ROOT BUILD SOURCE COMPILER FLAGS.. - builds a C++ program against the shared library
# and runs it. 77 without that compiler.
set -eu
root=$1 build=$2 source=$3 cxx=$4
shift 4
command -v "$cxx" >/dev/null || { echo "skipped: no $cxx"; exit 77; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cc -g -O1 -D_GNU_SOURCE -I"$root" -c "$root/tests/lib/test.c" -o "$out/test.o"
"$cxx" -g -Wall -Wextra -Wshadow -Wconversion -pedantic -Werror "$@" -I"$root/include" -I"$root" \
    "$source" "$out/test.o" -o "$out/program" -L"$build" -lcoir -pthread
LD_LIBRARY_PATH=$build timeout 60 "$out/program"
