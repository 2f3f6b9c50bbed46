#!/bin/bash
# SPDX-License-Identifier: MIT
# readme.sh README BUILD_FOLDER INCLUDE - the program in the README compiles without a warning, runs,
# and echoes: what a stranger types first works.
set -u
readme=$1 build=$2 include=$3
tmp=$(mktemp -d)
server=
trap '[ -n "$server" ] && kill "$server" 2>/dev/null; rm -rf "$tmp"' EXIT

# The first C block; the port is changed so that two runs do not meet.
port=$((20000 + RANDOM % 10000))
sed -n '/^```c$/,/^```$/p' "$readme" | sed '/^```/d' | sed "s/7777/$port/" >"$tmp/echo.c"
[ "$(grep -c . "$tmp/echo.c")" -gt 10 ] || { echo "no program found in $readme"; exit 1; }

for cc in gcc clang; do
    command -v $cc >/dev/null || continue
    $cc -Wall -Wextra -Werror=int-conversion -Werror=incompatible-pointer-types -Werror -O2 \
        -I"$include" "$tmp/echo.c" -o "$tmp/echo-$cc" -L"$build" -lcoir || exit 1
done
LD_LIBRARY_PATH=$build "$tmp/echo-gcc" &
server=$!

for _ in $(seq 100); do
    exec 3<>"/dev/tcp/127.0.0.1/$port" && break
    kill -0 $server 2>/dev/null || { echo "the server ended"; exit 1; }
    sleep 0.05
done 2>/dev/null
printf 'hello\nagain\n' >&3
read -r -t 10 first <&3 && read -r -t 10 second <&3
exec 3>&-
if [ "${first-} ${second-}" != "hello again" ]; then
    echo "the server answered: ${first-} ${second-}"
    exit 1
fi
echo "echoed; $(grep -c '[^ ]' "$tmp/echo.c") lines of program"
