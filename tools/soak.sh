#!/bin/bash
# SPDX-License-Identifier: MIT
# soak.sh [SECONDS [NAME]] - the long run of tests/soak: 10,000 connections plain and under ASan, 4,000
# under TSan (its runtime has a cap on fibers), each on the ring for SECONDS, ten minutes by default.
set -u
cd "$(dirname "$0")/.."
seconds=${1:-600} only=${2:-}
failed=0
soak() { # NAME FOLDER CONNECTIONS RSS_PERCENT MESON_OPTIONS...
    local name=$1 dir=$2 connections=$3 percent=$4
    shift 4
    [[ -z $only || $only == "$name" ]] || return 0
    if [ ! -e "$dir/build.ninja" ]; then
        meson setup "$dir" -Dbench=false "$@" >"/tmp/coir-soak.$$" 2>&1 || { cat "/tmp/coir-soak.$$"; exit 1; }
        rm -f "/tmp/coir-soak.$$"
    fi
    ninja -C "$dir" --quiet tests/soak/soak_server tests/soak/soak_client || exit 1
    echo "=== $name: $connections connections for $seconds s"
    RSS_PERCENT=$percent LD_LIBRARY_PATH=$dir tests/soak/soak.py "$dir/tests/soak/soak_server" \
        "build-soak/tests/soak/soak_client" "$connections" "$seconds" || failed=1
}
# ASan keeps what was freed for a while, TSan a history of every access: what that one takes is not
# the server's and is not judged.
export ASAN_OPTIONS=quarantine_size_mb=1:thread_local_quarantine_size_kb=64:exitcode=66 TSAN_OPTIONS=exitcode=66:halt_on_error=1
soak plain build-soak 10000 5 -Dbuildtype=release
soak asan build-soak-asan 10000 5 -Db_sanitize=address,undefined -Db_lundef=false
CC=clang soak tsan build-soak-tsan 4000 inf -Db_sanitize=thread -Db_lundef=false
exit $failed
