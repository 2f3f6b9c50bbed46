#!/bin/bash
# SPDX-License-Identifier: MIT
# look.sh PROGRAM COIR.PY - what gdb says of a process with parked coroutines, and of its core: each
# is listed once, and the backtrace of one names the functions that it waits in.
set -u
program=$(readlink -f "$1") script=$(readlink -f "$2") crowd=300
command -v gdb >/dev/null || { echo "skipped: no gdb"; exit 77; }
gdb -nx -q -batch -ex 'python print(1)' 2>/dev/null | grep -q 1 || { echo "skipped: gdb without python"; exit 77; }
tmp=$(mktemp -d)
pid=
trap '[ -n "$pid" ] && kill -9 "$pid" 2>/dev/null; rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
ulimit -c unlimited 2>/dev/null

look() { # NAME GDB_ARGS... - asks everything; the answers must be right
    local name=$1 said id
    shift
    said=$(timeout 100 gdb -nx -q -batch -ex 'set debuginfod enabled off' -ex 'set width 0' \
        "$@" -ex "source $script" -ex 'coir list' 2>&1)
    if grep -q 'Operation not permitted' <<<"$said"; then
        echo "skipped: gdb may not trace here"
        exit 77
    fi
    # Thread 1 stands on a stack of its own, above all coroutines'.
    id=$(sed -nE 's/^coroutine ([0-9]+): parked .* in chan recv .*/\1/p' <<<"$said" | head -1)
    said+=$'\n'$(timeout 100 gdb -nx -q -batch -ex 'set debuginfod enabled off' -ex 'set width 0' \
        "$@" -ex 'thread 1' -ex "source $script" -ex "coir bt ${id:-0}" -ex 'coir bt 999999999' 2>&1)
    judge "$name" "$said" || { echo "$said" | tail -60; echo "FAILED: $name"; exit 1; }
    echo "$name: passed"
}

judge() {
    local said=$2 listed
    # Everybody on the channel, the reader, and the first one, which sleeps.
    listed=$(sed -nE 's/^coroutine ([0-9]+).*/\1/p' <<<"$said" | head -n $((crowd + 2)))
    [ "$(wc -l <<<"$listed")" = $((crowd + 2)) ] && [ -z "$(sort <<<"$listed" | uniq -d)" ] || return 1
    grep -q "^$((crowd + 2)) coroutines" <<<"$said" || return 1
    [ "$(grep -cE '^coroutine [0-9]+: parked [0-9.]+ s in chan recv 0x[0-9a-f]+, spawned at .*crowd.c:[0-9]+ \(run\)' \
        <<<"$said")" = $((crowd + 1)) ] || return 1 # once more by 'bt'
    grep -qE '^coroutine [0-9]+ "reader": parked [0-9.]+ s in read fd [0-9]+' <<<"$said" || return 1
    grep -q 'no coroutine 999999999 lives' <<<"$said" || return 1
    local frames
    frames=$(sed -nE 's/^#[0-9]+ +(0x[0-9a-f]+ in )?([A-Za-z_0-9]+).*/\2/p' <<<"$said" | tr '\n' ' ')
    [[ "$frames" == *"waits_here asks asked arch_entry"*" " ]]
}

COIR_WORKERS=2 "$program" $crowd >ready &
pid=$!
for _ in $(seq 200); do
    grep -q ready ready && break
    sleep 0.05
done
look 'live process' -p "$pid"

kill -ABRT "$pid"
wait "$pid" 2>/dev/null
pid=
core=$(find . -name '*core*' -type f | head -1)
if [ -n "$core" ]; then
    look 'core' "$program" "$core"
else
    echo "core: this kernel gives none to the current folder, not looked at"
fi
