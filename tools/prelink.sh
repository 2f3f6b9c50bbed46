#!/bin/sh
# SPDX-License-Identifier: MIT
# prelink.sh INTERNAL.a OUT.a - the static library as one object whose hidden symbols are local.
#
# Inside the library short names (runq_push, ready) are global so that files can call each other;
# a static library would put them into every program's name space. One pre-linked object with the
# hidden symbols made local exports what the shared library exports, and nothing else.
set -eu
in=$1 out=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${LD:-ld}" -r --whole-archive "$in" -o "$tmp/coir.o"
"${OBJCOPY:-objcopy}" --localize-hidden "$tmp/coir.o"
rm -f "$out"
"${AR:-ar}" rcs "$out" "$tmp/coir.o"
