// SPDX-License-Identifier: MIT
// crowd - coroutines that wait three calls deep, for gdb to look at; see look.sh.
//
// crowd N: N of them wait on a channel, one reads a pipe. Says "ready" and then sleeps for ever.
#include <coir/go.h>

#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/test.h"

static coir_chan *gate;
static int ends[2];

__attribute__((noinline)) static void waits_here(int depth)
{
    expect_eq(coir_chan_recv(gate, NULL, COIR_FOREVER), depth);
}

__attribute__((noinline)) static void asks(int depth)
{
    waits_here(depth + 1);
    __asm__ volatile("" ::: "memory");
}

static void asked(int number)
{
    asks(number);
    __asm__ volatile("" ::: "memory");
}

static void reads(void)
{
    char c;

    expect_eq(coir_read(ends[0], &c, 1, COIR_FOREVER), 1);
}

static int run(void *arg)
{
    coir_stats stats = COIR_STATS_INIT;
    int n = *(int *)arg;

    expect_eq(coir_chan_make(0, 0, &gate), 0);
    for (int i = 0; i < n; i++) expect_eq(go(asked, i), 0);
    expect_eq(coir_go_with(coir_opts(.name = "reader"), reads), 0);
    do {
        expect_eq(coir_sleep(COIR_MS), 0);
        expect_eq(coir_stats_read(NULL, &stats), 0);
    } while (stats.parked < (uint64_t)n + 1);
    puts("ready");
    fflush(stdout);
    return coir_sleep(COIR_FOREVER);
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 3;

    expect_eq(pipe(ends), 0);
    return coir_run(NULL, run, &n);
}
