#!/bin/bash
# SPDX-License-Identifier: MIT
# check_locks.sh LIBCOIR_CHECK.SO PROGRAM - the preload library names those who wait while they hold
# a pthread lock, each place once, and nobody else.
set -u
said=$(LD_PRELOAD=$(readlink -f "$1") timeout 30 "$2" 2>&1 >/dev/null) || { echo "$said"; exit 1; }
echo "$said"
says() { [ "$(grep -c "$1" <<<"$said")" = "$2" ] || { echo "FAILED: '$1' is not there $2 times"; exit 1; }; }
says 'coir_check: ' 3
says '"sleeper", spawned at .*holds_locks.c:[0-9]*, waits (sleep) while it holds the pthread mutex ' 1
says '"reader", spawned at .*, waits (read) while it holds the pthread read lock ' 1
says '"yielder", spawned at .*, waits (yield) while it holds the pthread spin lock ' 1
says '"careful"' 0
alone=$(timeout 30 "$2" 2>&1) || exit 1
[ -z "$alone" ] || { echo "without the tool it says: $alone"; exit 1; }
