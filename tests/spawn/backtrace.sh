#!/bin/bash
# SPDX-License-Identifier: MIT
# backtrace.sh PROGRAM - gdb's backtrace in a coroutine ends cleanly at the coroutine's entry: its
# own calls, then arch_entry, nothing below, no "??" and no "corrupt stack".
set -u
command -v gdb >/dev/null || { echo "skipped: no gdb"; exit 77; }
said=$(timeout 50 gdb -nx -q -batch -ex 'set breakpoint pending on' -ex 'set debuginfod enabled off' \
    -ex 'break look_here' -ex run -ex bt -ex kill "$1" 2>&1)
frames=$(grep -E '^#[0-9]+ ' <<<"$said")
names=$(sed -E 's/^#[0-9]+ +(0x[0-9a-f]+ in )?([A-Za-z_0-9?]+).*/\2/' <<<"$frames" | tr '\n' ' ')
echo "$frames"
if grep -q 'Operation not permitted' <<<"$said"; then
    echo "skipped: gdb may not trace here"
    exit 77
fi
[[ "$names" == "look_here deeper deep arch_entry"*" " ]] && ! grep -qi 'corrupt stack\|previous frame' <<<"$said" || {
    echo "$said"
    echo "FAILED: the frames are: $names"
    exit 1
}
