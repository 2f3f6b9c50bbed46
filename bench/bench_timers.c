// SPDX-License-Identifier: MIT
// Asks:  what does an expiry cost when very many wait, each until a time of its own?
// Shows: ns of processor time per expiry, all of the process, from when the last one sleeps until
//        the last one woke: N coroutines, or threads, whose times are spread over two seconds.
#include "bench/bench.h"

#include <time.h>

static int64_t from;
static coir_waitgroup woken;

static int64_t processor_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec * COIR_SEC + ts.tv_nsec;
}

static int64_t time_of(long i, long n)
{
    return from + i * 7919 % n * (2 * COIR_SEC / n);
}

static void sleeps(long i, long n)
{
    bench_must(coir_sleep_until(time_of(i, n)) == 0, "sleep");
    coir_waitgroup_done(&woken);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;

    from = coir_after(8 * COIR_SEC); // until all of them sleep
    bench_must(coir_waitgroup_add(&woken, (int)b->n) == 0, "add");
    for (long i = 0; i < b->n; i++) {
        bench_must(go(sleeps, i, b->n) == 0, "go");
        if (i % 64 == 0) coir_yield();
    }
    coir_sleep_until(from - COIR_SEC / 10);
    b->ns = -processor_ns();
    bench_must(coir_waitgroup_wait(&woken, COIR_FOREVER) == 0, "wait");
    b->ns += processor_ns();
    return 0;
}

struct sleeper {
    long i, n;
};

static void *sleeps_on_a_thread(void *arg)
{
    struct sleeper *s = arg;
    int64_t when = time_of(s->i, s->n);
    struct timespec ts = {when / COIR_SEC, when % COIR_SEC};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL)) continue;
    return NULL;
}

void bench_pthreads(struct bench *b)
{
    pthread_t *threads = calloc((size_t)b->n, sizeof(*threads));
    struct sleeper *sleepers = calloc((size_t)b->n, sizeof(*sleepers));

    bench_must(threads && sleepers, "calloc");
    from = coir_after(2 * COIR_SEC);
    for (long i = 0; i < b->n; i++) {
        sleepers[i] = (struct sleeper){i, b->n};
        threads[i] = bench_thread(sleeps_on_a_thread, &sleepers[i]);
    }
    b->ns = -processor_ns();
    for (long i = 0; i < b->n; i++) pthread_join(threads[i], NULL);
    b->ns += processor_ns();
    free(threads);
    free(sleepers);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1, "ns");
}
