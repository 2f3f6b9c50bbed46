// SPDX-License-Identifier: MIT
// Question: how long do N usleep(100 ms) on as many coroutines take, undeclared (coir) and between
//           coir_blocking_begin and end (declared), and how late do the 1 ms ticks of another
//           coroutine come meanwhile? pthreads: a thread each.
// WHO may be 'declared' too. With a fourth argument 'warm' the threads are there already.
#include <unistd.h>

#include "bench/bench.h"

#define TICKS_MOST 10000

static int declared, rounds = 1;
static coir_waitgroup done;
static int64_t delays[TICKS_MOST];
static long n_ticks;
static int ticking;

static void block(void)
{
    if (declared) coir_blocking_begin();
    usleep(100000);
    if (declared) coir_blocking_end();
    bench_must(coir_waitgroup_done(&done) == 0, "done");
}

static void tick(coir_waitgroup *over)
{
    for (n_ticks = 0; __atomic_load_n(&ticking, __ATOMIC_RELAXED);) {
        int64_t when = coir_after(COIR_MS);
        coir_sleep_until(when);
        if (n_ticks < TICKS_MOST) delays[n_ticks++] = coir_now() - when;
    }
    coir_waitgroup_done(over);
}

static void block_once(struct bench *b)
{
    coir_waitgroup over = {0};

    b->ns = 0;
    ticking = 1;
    coir_waitgroup_add(&over, 1);
    bench_must(go(tick, &over) == 0, "go");
    bench_must(coir_waitgroup_add(&done, (int)b->n) == 0, "add");
    bench_start(b);
    for (long i = 0; i < b->n; i++) bench_must(go(block) == 0, "go");
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    bench_stop(b);
    __atomic_store_n(&ticking, 0, __ATOMIC_RELAXED);
    bench_must(coir_waitgroup_wait(&over, COIR_FOREVER) == 0, "wait");
}

// The last round counts.
int bench_coir(void *bench)
{
    for (int i = 0; i < rounds; i++) block_once(bench);
    return 0;
}

static void *block_thread(void *arg)
{
    usleep(100000);
    return arg;
}

void bench_pthreads(struct bench *b)
{
    pthread_t *threads = calloc((size_t)b->n, sizeof(*threads));

    bench_must(threads != NULL, "calloc");
    bench_start(b);
    for (long i = 0; i < b->n; i++) threads[i] = bench_thread(block_thread, NULL);
    for (long i = 0; i < b->n; i++) pthread_join(threads[i], NULL);
    bench_stop(b);
    free(threads);
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

// The value is the whole time.
int main(int argc, char **argv)
{
    struct bench b = {0};
    coir_config config = COIR_CONFIG_INIT;

    if (argc < 4) {
        fprintf(stderr, "usage: %s coir|declared|pthreads WORKERS N [warm]\n", argv[0]);
        return 2;
    }
    b.workers = (unsigned)atoi(argv[2]);
    b.n = atol(argv[3]);
    rounds = argc > 4 ? 2 : 1;
    config.workers = b.workers;
    declared = strcmp(argv[1], "declared") == 0;
    if (strcmp(argv[1], "pthreads") == 0)
        bench_pthreads(&b);
    else
        bench_must(coir_run(&config, bench_coir, &b) == 0, "coir_run");
    qsort(delays, (size_t)n_ticks, sizeof(*delays), compare);
    printf("{\"value\": %.1f, \"unit\": \"ms\", \"n\": %ld, \"ticks\": %ld, "
           "\"ticks_p99_us\": %.1f, \"ticks_max_us\": %.1f}\n",
           (double)b.ns / COIR_MS, b.n, n_ticks,
           n_ticks ? (double)delays[n_ticks * 99 / 100] / 1000.0 : 0.0,
           n_ticks ? (double)delays[n_ticks - 1] / 1000.0 : 0.0);
    return 0;
}
