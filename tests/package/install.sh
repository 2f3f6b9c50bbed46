#!/bin/bash
# SPDX-License-Identifier: MIT
# install.sh BUILD_FOLDER INCLUDE - a program builds and runs from what 'meson install' put on disk,
# shared and static, with nothing but pkg-config and no path into the source tree. Every header is
# there, and compiles there as C and as C++.
set -eu
build=$1 include=$2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
DESTDIR=$root meson install -C "$build" --no-rebuild --quiet >"$root/log" 2>&1 || {
    cat "$root/log"
    exit 1
}
pc=$(find "$root" -name coir.pc)
prefix=$(sed -n 's/^prefix=//p' "$pc")
export PKG_CONFIG_PATH=${pc%/*}
flags() { pkg-config --define-variable=prefix="$root$prefix" "$@" coir; }

cat >"$root/hello.c" <<'C'
#include <coir.h>
#include <stdio.h>
int main(void) { return puts(coir_version()) < 0; }
C
cc "$root/hello.c" -o "$root/shared" $(flags --cflags --libs)
lib=$(flags --variable=libdir)
said=$(LD_LIBRARY_PATH=$lib "$root/shared")
[ "$said" = "$(pkg-config --modversion coir)" ] || { echo "shared says $said"; exit 1; }
readelf -d "$root/shared" | grep -q 'libcoir\.so\.0' || { echo "soname is not in it"; exit 1; }
if [ -e "$lib/libcoir.a" ]; then
    cc "$root/hello.c" -o "$root/static" $(flags --cflags) "$lib/libcoir.a" \
        $(flags --libs --static | sed 's/-lcoir//')
    [ "$("$root/static")" = "$said" ] || { echo "static says something else"; exit 1; }
fi
if command -v g++ >/dev/null; then
    cat >"$root/hello.cpp" <<'C'
#include <coir.hpp>
static int first(void *)
{
    int answer = 0;
    coir::channel<int> c(1);
    if (coir::go([c]() mutable { (void)c.send(7); }) < 0 || c.recv(answer) < 0) return 1;
    return answer == 7 ? 0 : 1;
}
int main() { return coir_run(nullptr, first, nullptr); }
C
    g++ -std=c++17 -Wall -Wextra -pedantic -Werror "$root/hello.cpp" -o "$root/cpp" $(flags --cflags --libs)
    LD_LIBRARY_PATH=$lib "$root/cpp"
fi
for header in $(cd "$include" && find . -name '*.h' -o -name '*.hpp'); do
    case $header in
    */jemalloc.h) [ -e "${pc%/*}/coir-jemalloc.pc" ] || continue ;;
    esac
    installed=$root$prefix/include/${header#./}
    cmp -s "$include/$header" "$installed" || { echo "$header is not installed"; exit 1; }
    case $header in
    *.hpp) ;;
    *) echo "#include <${header#./}>" | cc -x c -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only $(flags --cflags) - ;;
    esac
    if command -v g++ >/dev/null; then
        echo "#include <${header#./}>" | g++ -x c++ -std=c++17 -pedantic -Wall -Wextra -Werror -fsyntax-only $(flags --cflags) -
    fi
done
for file in share/man/man3/coir_run.3 share/coir/gdb/coir.py; do
    [ -s "$root$prefix/$file" ] || { echo "$file is not installed"; exit 1; }
done
if [ -e "${pc%/*}/coir-jemalloc.pc" ]; then
    cat >"$root/beside.c" <<'C'
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
    cc "$root/beside.c" -o "$root/beside" \
        $(pkg-config --define-variable=prefix="$root$prefix" --cflags --libs coir-jemalloc)
    LD_LIBRARY_PATH=$lib "$root/beside"
    ! readelf -d "$lib/libcoir_jemalloc.so" | grep -q 'libcoir\.so' ||
        { echo "libcoir_jemalloc needs libcoir"; exit 1; }
    cat >"$root/table.c" <<'C'
#include <coir/jemalloc.h>
int main(void)
{
    coir_jemalloc *j;
    return coir_jemalloc_open(1, &j) < 0 || coir_jemalloc_close(j) < 0;
}
C
    cc "$root/table.c" -o "$root/beside-static" $(flags --cflags) "$lib/libcoir_jemalloc.a" \
        $(pkg-config --libs jemalloc) -pthread
    "$root/beside-static"
fi
! readelf -d "$lib/libcoir.so" | grep -Eq 'NEEDED.*(malloc|stdc)' ||
    { echo "libcoir.so needs an allocator"; exit 1; }
echo "installed, found by pkg-config, linked both ways: $said"
