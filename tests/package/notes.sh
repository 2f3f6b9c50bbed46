#!/bin/bash
# SPDX-License-Identifier: MIT
# notes.sh ARCHIVE - what the assembler files say about CET is true: landing pads where they may be
# jumped to, no shadow stack.
set -uo pipefail
notes=$(readelf -nW "$1" 2>/dev/null)
pads=$(grep -c 'x86 feature: IBT' <<<"$notes")
[[ $pads -ge 2 ]] || { echo "notes: $pads files say IBT, the two of arch/ should"; exit 1; }
! grep -q SHSTK <<<"$notes" || { echo "notes: a file says SHSTK"; exit 1; }

# Of the assembler's functions all but the first frames are called, maybe through a pointer or a
# linkage table; those are entered by a return or a direct jump.
code=$(objdump -d --no-show-raw-insn "$1") || { echo "skipped: no objdump"; exit 77; }
looked=0
for name in arch_switch arch_on_stack $(nm "$1" 2>/dev/null | awk '$3 ~ /^coir_spawn_capture_/ && $2 == "T" { print $3 }'); do
    first=$(grep -A1 "<$name>:\$" <<<"$code" | sed -n '2s/.*:[[:space:]]*//p')
    [[ $first == endbr64* ]] || { echo "notes: $name begins with '$first', not with a landing pad"; exit 1; }
    looked=$((looked + 1))
done
[[ $looked -ge 3 ]] || { echo "notes: only $looked functions found"; exit 1; }
# No indirect jump that would need a pad elsewhere.
! awk '/^[0-9a-f]+ <arch_/ { on = 1 } /^$/ { on = 0 } on' <<<"$code" | grep -E 'jmp +\*' ||
    { echo "notes: an indirect jump in arch/"; exit 1; }
echo "$looked functions begin with a landing pad"
