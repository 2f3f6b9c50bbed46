#!/bin/bash
# SPDX-License-Identifier: MIT
# run.sh [FOLDER] - the library for aarch64, cross-compiled without a ring, and the tests that need
# none, under qemu-user.
#
# Criterion's stand-in of the TSan build serves here too. qemu takes any advice about memory and
# means none, so the guards are PROT_NONE ones (base/platform.h: a guard is believed when the kernel
# itself fails to read it). Left out is what qemu does otherwise (RWF_NOWAIT, posix_spawn's
# errors: unit_ops, process), what counts qemu's threads or memory as ours (deadlock, memory), and
# what only x86_64 has (backtraces: unit_unwind, debug).
#
# JOBS programs (as many as processors) are built and run at a time; what they say is printed in the
# order of the list. The last line is the sum; the exit code is 1 if a test failed or none ran, 77
# without compiler or qemu.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
out=${1:-build-aarch64}
cc=aarch64-linux-gnu-gcc
jobs=${JOBS:-$(nproc)} running=0 begun=$SECONDS
names=() n_told=0 passed=0 failed=0
for tool in $cc qemu-aarch64; do
    command -v "$tool" >/dev/null || { echo "qemu: no $tool here"; exit 77; }
done
[[ -e $out/build.ninja ]] || meson setup "$out" --cross-file tests/qemu/aarch64.ini --werror \
    -Dring=false -Djemalloc=disabled -Dtests=false -Dbench=false -Dexamples=false >"/tmp/coir-qemu.$$" 2>&1 ||
    { tail -20 "/tmp/coir-qemu.$$"; exit 1; }
rm -f "/tmp/coir-qemu.$$"
ninja -C "$out" --quiet || exit 1
mkdir -p "$out/programs"
rm -f "$out"/programs/*.{log,code}

# build_and_run NAME FLAGS SOURCES... - leaves NAME.log and, last, NAME.code: exit code and seconds.
build_and_run() {
    local name=$1 flags=$2 start=$SECONDS program=$out/programs/$1 code=0
    shift 2
    # shellcheck disable=SC2086
    { $cc -std=gnu17 -O2 -g -D_GNU_SOURCE -DCOIR_DEBUG=1 -I. -Iinclude -Itests/lib/tsan $flags \
        -o "$program" "$@" tests/lib/test.c -Wl,--whole-archive \
        "$out/libcoir_internal.a" -Wl,--no-whole-archive -pthread -lm &&
        COIR_TEST_SLOWNESS=5 COIR_DRIVER=epoll timeout 120 \
            qemu-aarch64 -L /usr/aarch64-linux-gnu "$program"; } >"$program.log" 2>&1 || code=$?
    echo "$code $((SECONDS - start))" >"$program.new"
    mv "$program.new" "$program.code"
}

# Tells of those that ended, up to the first one that did not.
tell() {
    local name code took
    while ((n_told < ${#names[@]})); do
        name=${names[n_told]}
        [[ -e $out/programs/$name.code ]] || return
        read -r code took <"$out/programs/$name.code"
        n_told=$((n_told + 1))
        if ((code == 0)); then
            passed=$((passed + 1))
            echo "qemu: $name passed, $took s"
        else
            failed=$((failed + 1))
            tail -20 "$out/programs/$name.log"
            echo "qemu: $name FAILED, exit code $code, $took s"
        fi
    done
}

try() {
    names+=("$1")
    build_and_run "$@" </dev/null &
    running=$((running + 1))
    ((running < jobs)) && return
    wait -n
    running=$((running - 1))
    tell
}

# What the assembler files say is true: each function that may be jumped to begins with a landing pad.
pads=0
for file in "$out"/libcoir_internal.a.p/arch_aarch64_*.o; do
    readelf -nW "$file" 2>/dev/null | grep -q 'AArch64 feature: BTI$' || { echo "qemu: $file does not say BTI"; exit 1; }
done
code=$(aarch64-linux-gnu-objdump -d --no-show-raw-insn "$out"/libcoir_internal.a.p/arch_aarch64_*.o)
for name in arch_switch arch_on_stack coir_spawn_capture_ coir_spawn_capture_ints_; do
    grep -A1 "<$name>:\$" <<<"$code" | grep -q 'bti' || { echo "qemu: $name has no landing pad"; exit 1; }
    pads=$((pads + 1))
done
echo "qemu: $pads landing pads"

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
    io/io io/exact io/ends io/crowd io/files io/messages io/names io/blocking io/close; do
    try "${name#*/}" "" "tests/${name%/*}/test_${name#*/}.c"
done
COIR_STRESS_SECONDS=3 try churn "" tests/stress/churn.c
wait
tell
echo "$passed passed, $failed failed, $((SECONDS - begun)) s"
((failed == 0 && passed == ${#names[@]}))
