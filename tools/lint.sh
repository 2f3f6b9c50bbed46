#!/bin/bash
# SPDX-License-Identifier: MIT
# lint.sh BUILD_FOLDER [FILE...] - clang-tidy over the library's sources (or these), as in .clang-tidy.
set -eu
cd "$(dirname "$0")/.."
build=$1
shift
files=("$@")
if [ ${#files[@]} -eq 0 ]; then
    mapfile -t files < <(find arch base netpoll sched sync io runtime extra -name '*.c' | sort)
fi
# Flags that only gcc knows stand in the compile commands of a gcc build.
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 1 clang-tidy -p "$build" --quiet \
    --extra-arg=-Wno-unknown-warning-option 2>/dev/null
echo "lint: ${#files[@]} files"
