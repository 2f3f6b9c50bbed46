#!/bin/bash
# SPDX-License-Identifier: MIT
# valgrind.sh PROGRAM - the program runs under memcheck, without a ring, and memcheck sees nothing
# wrong: no invalid access, no leak, no switch taken for a stack overflow.
command -v valgrind >/dev/null || { echo "no valgrind here"; exit 77; }
[ -f /usr/include/valgrind/valgrind.h ] || { echo "built without valgrind's header"; exit 77; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
COIR_TEST_SECONDS=0 timeout -s KILL 100 valgrind --fair-sched=yes --error-exitcode=9 --leak-check=full \
    --errors-for-leak-kinds=definite --log-file="$log" "$1" || { code=$?; cat "$log"; exit $code; }
if grep -q 'switching stacks' "$log"; then
    cat "$log"
    exit 1
fi
