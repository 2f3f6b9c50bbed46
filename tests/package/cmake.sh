#!/bin/bash
# SPDX-License-Identifier: MIT
# cmake.sh BUILD_FOLDER - a CMake project finds what 'meson install' put on disk, by find_package, and
# builds and runs a program against the shared and the static library.
set -eu
build=$1
command -v cmake >/dev/null || { echo "skipped: no cmake"; exit 77; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
DESTDIR=$root/tree meson install -C "$build" --no-rebuild --quiet >"$root/log" 2>&1 || { cat "$root/log"; exit 1; }
config=$(find "$root/tree" -name coirConfig.cmake)
mkdir "$root/project"
cat >"$root/project/hello.c" <<'C'
#include <coir/go.h>
#include <stdio.h>
static int hello(void *arg) { return (void)arg, puts(coir_version()) < 0; }
int main(void) { return coir_run(NULL, hello, NULL); }
C
cat >"$root/project/beside.c" <<'C'
#include <coir.h>
#include <coir/jemalloc.h>
static int runs(void *arg) { return arg != NULL; }
int main(void)
{
    coir_config config = COIR_CONFIG_INIT;
    coir_jemalloc *j;
    if (coir_jemalloc_open(1, &j) < 0) return 1;
    config.allocator = coir_jemalloc_allocator(j);
    return coir_run(&config, runs, NULL) || coir_jemalloc_close(j) < 0;
}
C
cat >"$root/project/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.16)
project(user C)
find_package(coir 0.1 REQUIRED)
add_executable(shared hello.c)
target_link_libraries(shared coir::coir)
if(TARGET coir::static)
  add_executable(static hello.c)
  target_link_libraries(static coir::static)
endif()
if(TARGET coir::jemalloc)
  add_executable(beside beside.c)
  target_link_libraries(beside coir::jemalloc)
endif()
C
cmake -S "$root/project" -B "$root/out" -Dcoir_DIR="${config%/*}" >"$root/log" 2>&1 &&
    cmake --build "$root/out" >>"$root/log" 2>&1 || { cat "$root/log"; exit 1; }
said=$("$root/out/shared")
ldd "$root/out/shared" | grep -q "$root/tree.*libcoir.so.0" || { echo "shared: another library"; exit 1; }
[ -x "$root/out/static" ] || { echo "there is no coir::static"; exit 1; }
[ "$("$root/out/static")" = "$said" ] || { echo "static says something else"; exit 1; }
! ldd "$root/out/static" | grep libcoir || { echo "static is not"; exit 1; }
if [ -e "${config%/cmake/*}/libcoir_jemalloc.so" ]; then "$root/out/beside"; fi
sed -i 's/coir 0.1/coir 0.9/' "$root/project/CMakeLists.txt"
if cmake -S "$root/project" -B "$root/newer" -Dcoir_DIR="${config%/*}" >/dev/null 2>&1; then
    echo "version 0.9 was asked for and found"
    exit 1
fi
echo "found by CMake, linked both ways: $said"
