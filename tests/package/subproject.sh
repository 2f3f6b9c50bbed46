#!/bin/bash
# SPDX-License-Identifier: MIT
# subproject.sh SOURCE_ROOT - a meson project that has this tree under subprojects/ builds a program
# against the shared and the static library, without our tests, benchmarks and examples.
set -eu
source=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/project/subprojects/coir"
# What git would give, without what was built here.
(cd "$source" && find . -maxdepth 1 ! -name . ! -name 'build*' ! -name '.git*' -exec ln -s "$source/{}" "$root/project/subprojects/coir/" \;)
cat >"$root/project/hello.c" <<'C'
#include <coir/go.h>
#include <stdio.h>
static int hello(void *arg) { return (void)arg, puts(coir_version()) < 0; }
int main(void) { return coir_run(NULL, hello, NULL); }
C
cat >"$root/project/meson.build" <<'M'
project('user', 'c', default_options: ['buildtype=plain'])
coir = dependency('coir', fallback: 'coir', static: false)
coir_static = dependency('coir', fallback: 'coir', static: true)
executable('shared', 'hello.c', dependencies: coir)
executable('static', 'hello.c', dependencies: coir_static)
M
PKG_CONFIG_PATH= meson setup "$root/out" "$root/project" --wrap-mode=forcefallback >"$root/log" 2>&1 &&
    ninja -C "$root/out" >>"$root/log" 2>&1 || { tail -40 "$root/log"; exit 1; }
said=$("$root/out/shared")
[ "$("$root/out/static")" = "$said" ] || { echo "static says something else"; exit 1; }
! ldd "$root/out/static" | grep libcoir || { echo "static is not"; exit 1; }
[ ! -e "$root/out/subprojects/coir/tests" ] || { echo "our tests were built too"; exit 1; }
echo "a subproject of meson, linked both ways: $said"
