#!/bin/bash
# SPDX-License-Identifier: MIT
# run.sh [FOLDER] - the library for aarch64, cross-compiled without a ring, and the tests that need
# none, under qemu-user.
#
# Criterion's stand-in of the TSan build serves here too. qemu takes any advice about memory and
# means none, so the guards are PROT_NONE ones (base/platform.h: a guard is believed when the kernel
# itself fails to read it). Left out is what qemu does otherwise (RWF_NOWAIT, posix_spawn's
# errors, which end a wait first: unit_ops, process, exact), what counts qemu's threads or memory as
# ours (deadlock, memory), and what only x86_64 has (backtraces: unit_unwind, debug). The
# last line is the sum; the exit code is 1 if a test failed or none ran, 77 without compiler or qemu.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
out=${1:-build-aarch64}
cc=aarch64-linux-gnu-gcc
passed=0 failed=0
for tool in $cc qemu-aarch64; do
    command -v $tool >/dev/null || { echo "qemu: no $tool here"; exit 77; }
done
[[ -e $out/build.ninja ]] || meson setup "$out" --cross-file tests/qemu/aarch64.ini --werror \
    -Dring=false -Djemalloc=disabled -Dtests=false -Dbench=false -Dexamples=false >"/tmp/coir-qemu.$$" 2>&1 ||
    { tail -20 "/tmp/coir-qemu.$$"; exit 1; }
rm -f "/tmp/coir-qemu.$$"
ninja -C "$out" --quiet || exit 1
mkdir -p "$out/programs"

# try NAME FLAGS SOURCES... - builds and runs one program.
try() {
    local name=$1 flags=$2 start=$SECONDS
    shift 2
    # shellcheck disable=SC2086
    if $cc -std=gnu17 -O2 -g -D_GNU_SOURCE -DCOIR_DEBUG=1 -I. -Iinclude -Itests/lib/tsan $flags \
        -o "$out/programs/$name" "$@" tests/lib/test.c -Wl,--whole-archive \
        "$out/libcoir_internal.a" -Wl,--no-whole-archive -pthread -lm &&
        COIR_TEST_SLOWNESS=5 COIR_DRIVER=epoll timeout 120 \
            qemu-aarch64 -L /usr/aarch64-linux-gnu "$out/programs/$name" >"$out/log" 2>&1; then
        passed=$((passed + 1))
        echo "qemu: $name passed, $((SECONDS - start)) s"
    else
        failed=$((failed + 1))
        tail -20 "$out/log"
        echo "qemu: $name FAILED"
    fi
}

for unit in list rand context runq stack bias check; do
    try "unit_$unit" "" "tests/unit/test_$unit.c" tests/lib/tsan/criterion.c
done
for api in runtime scope local; do
    try "$api" "" "tests/api/test_$api.c" tests/lib/tsan/criterion.c
done
try values "" tests/spawn/values.c
try errno "" tests/sched/errno.c
for name in sched/run sched/fair sched/idle sync/sync sync/locks sync/select sync/timer sync/typed \
    api/big_stack api/registers api/allocator api/limits \
    io/io io/ends io/crowd io/files io/messages io/names io/blocking io/close; do
    try "${name#*/}" "" "tests/${name%/*}/test_${name#*/}.c"
done
COIR_STRESS_SECONDS=3 try churn "" tests/stress/churn.c
echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
