#!/bin/bash
# SPDX-License-Identifier: MIT
# format.sh [--check] - clang-format over what git knows; --check changes nothing and fails.
set -eu
cd "$(dirname "$0")/.."
mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.c' '*.h' '*.cpp' |
    grep -v '^tests/spawn/fail/' | while read -r f; do [ -e "$f" ] && echo "$f"; done)
if [ "${1:-}" = --check ]; then
    bad=$(clang-format -n "${files[@]}" 2>&1 | grep -c 'clang-format-violations' || true)
    [ "$bad" -eq 0 ] || { echo "format: $bad places; ./dev fmt repairs them"; exit 1; }
    echo "format: ${#files[@]} files"
else
    clang-format -i "${files[@]}"
fi
