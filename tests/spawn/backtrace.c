// SPDX-License-Identifier: MIT
// backtrace - stands in a coroutine three calls deep for a debugger to look; see backtrace.sh.
#include <coir/go.h>

#include "tests/lib/test.h"

__attribute__((noinline)) void look_here(int depth)
{
    __asm__ volatile("" ::"r"(depth) : "memory");
}

__attribute__((noinline)) static int deeper(int depth)
{
    expect_eq(coir_yield(), 0);
    look_here(depth);
    return depth + 1;
}

__attribute__((noinline)) static void deep(int depth)
{
    expect_eq(deeper(depth + 1), depth + 2);
}

static int run(void *arg)
{
    (void)arg;
    expect_eq(go(deep, 40), 0);
    return coir_sleep(10 * COIR_MS);
}

int main(void)
{
    return coir_run(NULL, run, NULL);
}
