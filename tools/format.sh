#!/bin/bash
# SPDX-License-Identifier: MIT
# format.sh [--check] - clang-format over the tree; --check changes nothing and fails.
#
# Files that must not compile (tests/spawn/fail) are left alone: their layout is part of the test.
set -eu
cd "$(dirname "$0")/.."
mapfile -t files < <(find . \( -name '.*' -o -name 'build*' \) ! -name . ! -name '*.[ch]' ! -name '*.[ch]pp' -prune -o \
    -path ./tests/spawn/fail -prune -o \( -name '*.[ch]' -o -name '*.[ch]pp' \) -type f -print | sort)
[ ${#files[@]} -gt 0 ]
if [ "${1:-}" = --check ]; then
    bad=$(clang-format -n "${files[@]}" 2>&1 | grep 'clang-format-violations' || true)
    [ -z "$bad" ] || {
        echo "$bad" | head -20
        echo "format: $(wc -l <<<"$bad") places; ./dev fmt repairs them"
        exit 1
    }
    echo "format: ${#files[@]} files"
else
    clang-format -i "${files[@]}"
fi
