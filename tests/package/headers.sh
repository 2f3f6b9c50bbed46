#!/bin/bash
# SPDX-License-Identifier: MIT
# headers.sh HEADER_FOLDER - every public header compiles alone, as every C and C++ that users have.
#
# Each is the only include of its file, with all warnings as errors; then twice, for the guard.
set -u
cd "$1" || exit 1
runs=0 bad=0
try() { # compiler language standard header
    runs=$((runs + 1))
    printf '#include <%s>\n#include <%s>\ncoir_probe_type coir_probe_;\n' "$4" "$4" |
        "$1" -x "$2" -std="$3" -Dcoir_probe_type=int -pedantic -Wall -Wextra -Wshadow \
            -Wconversion -Wundef -Werror -I. -fsyntax-only - || {
        echo "FAILED: $1 -std=$3 <$4>"
        bad=$((bad + 1))
    }
}
for header in coir.h coir/*.h; do
    for std in c99 c11 c17 c2x; do
        for compiler in gcc clang; do
            command -v $compiler >/dev/null && try $compiler c $std "$header"
        done
    done
    for std in c++98 c++11 c++17 c++20; do
        for compiler in g++ clang++; do
            command -v $compiler >/dev/null && try $compiler c++ $std "$header"
        done
    done
done
for std in c++17 c++20; do
    for compiler in g++ clang++; do
        command -v $compiler >/dev/null && try $compiler c++ $std coir.hpp
    done
done
echo "$runs compilations, $bad failed"
[ $bad -eq 0 ] && [ $runs -gt 0 ]
