#!/bin/bash
# SPDX-License-Identifier: MIT
# notes.sh ARCHIVE - what the assembler files say about CET is true: landing pads, no shadow stack.
set -uo pipefail
notes=$(readelf -nW "$1" 2>/dev/null)
pads=$(grep -c 'x86 feature: IBT' <<<"$notes")
[[ $pads -ge 2 ]] || { echo "notes: $pads files say IBT, the two of arch/ should"; exit 1; }
! grep -q SHSTK <<<"$notes" || { echo "notes: a file says SHSTK"; exit 1; }
