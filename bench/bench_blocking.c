// SPDX-License-Identifier: MIT
// Question: how long do N usleep(100 ms) on as many coroutines take, undeclared (coir) and between
//           coir_blocking_begin and end (declared)? pthreads: a thread each.
#include <unistd.h>

#include "bench/bench.h"

static int declared;
static coir_waitgroup done;

static void block(void)
{
    if (declared) coir_blocking_begin();
    usleep(100000);
    if (declared) coir_blocking_end();
    bench_must(coir_waitgroup_done(&done) == 0, "done");
}

int bench_coir(void *bench)
{
    struct bench *b = bench;

    bench_must(coir_waitgroup_add(&done, (int)b->n) == 0, "add");
    bench_start(b);
    for (long i = 0; i < b->n; i++) bench_must(go(block) == 0, "go");
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    bench_stop(b);
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

// WHO may be 'declared' too. The value is the whole time.
int main(int argc, char **argv)
{
    struct bench b = {0};
    coir_config config = COIR_CONFIG_INIT;

    if (argc < 4) {
        fprintf(stderr, "usage: %s coir|declared|pthreads WORKERS N\n", argv[0]);
        return 2;
    }
    b.workers = (unsigned)atoi(argv[2]);
    b.n = atol(argv[3]);
    config.workers = b.workers;
    declared = strcmp(argv[1], "declared") == 0;
    if (strcmp(argv[1], "pthreads") == 0)
        bench_pthreads(&b);
    else
        bench_must(coir_run(&config, bench_coir, &b) == 0, "coir_run");
    printf("{\"value\": %.1f, \"unit\": \"ms\", \"n\": %ld}\n", (double)b.ns / COIR_MS,
           b.n);
    return 0;
}
