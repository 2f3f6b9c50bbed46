// SPDX-License-Identifier: MIT
// Asks:  what does it cost to set a timer and to cancel it before it is due?
// Shows: ns per pair, on one existing timer. Threads: timerfd_settime twice.
#include "bench/bench.h"

#include <sys/timerfd.h>

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_timer *t;
    int64_t when = coir_after(1000 * COIR_SEC);

    bench_must(coir_timer_make(COIR_FOREVER, 0, &t) == 0, "make");
    bench_start(b);
    for (long i = 0; i < b->n; i++) {
        coir_timer_reset(t, when + i, 0);
        bench_must(coir_timer_stop(t) == 1, "stop");
    }
    bench_stop(b);
    coir_timer_free(t);
    return 0;
}

void bench_pthreads(struct bench *b)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec set = {.it_value = {.tv_sec = 1000}}, stop = {0};

    bench_must(fd >= 0, "timerfd");
    bench_start(b);
    for (long i = 0; i < b->n; i++) {
        bench_must(timerfd_settime(fd, 0, &set, NULL) == 0, "set");
        bench_must(timerfd_settime(fd, 0, &stop, NULL) == 0, "stop");
    }
    bench_stop(b);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1, "ns");
}
