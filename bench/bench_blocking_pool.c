// SPDX-License-Identifier: MIT
// Asks:  how long do N coroutines take that each block for 100 ms in coir_blocking?
// Shows: ms until the last one is through; 100 would be perfect. The helper threads are made
//        meanwhile, or, with a fourth argument 'warm', are there already. Beside it N threads that
//        are created and joined.
#include "bench/bench.h"

#include <unistd.h>

enum { BLOCK_US = 100000 };

static int rounds = 1;
static coir_waitgroup done;

static void blocks(void *arg)
{
    (void)arg;
    usleep(BLOCK_US);
}

static void calls(void)
{
    bench_must(coir_blocking(blocks, NULL) == 0, "coir_blocking");
    coir_waitgroup_done(&done);
}

// The last round counts.
int bench_coir(void *arg)
{
    struct bench *b = arg;

    for (int i = 0; i < rounds; i++) {
        b->ns = 0;
        bench_start(b);
        coir_waitgroup_add(&done, (int)b->n);
        for (long j = 0; j < b->n; j++) bench_must(go(calls) == 0, "go");
        bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
        bench_stop(b);
    }
    return 0;
}

static void *blocks_a_thread(void *arg)
{
    blocks(arg);
    return NULL;
}

void bench_pthreads(struct bench *b)
{
    pthread_t *threads = calloc((size_t)b->n, sizeof(*threads));

    bench_start(b);
    for (long i = 0; i < b->n; i++) threads[i] = bench_thread(blocks_a_thread, NULL);
    for (long i = 0; i < b->n; i++) pthread_join(threads[i], NULL);
    bench_stop(b);
    free(threads);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    coir_config config = COIR_CONFIG_INIT;

    if (argc < 4) {
        fprintf(stderr, "usage: %s coir|pthreads WORKERS N [warm]\n", argv[0]);
        return 2;
    }
    config.workers = (unsigned)atoi(argv[2]);
    b.n = atol(argv[3]);
    rounds = argc > 4 ? 2 : 1;
    if (strcmp(argv[1], "coir") == 0)
        bench_must(coir_run(&config, bench_coir, &b) == 0, "coir_run");
    else
        bench_pthreads(&b);
    printf("{\"value\": %.3f, \"unit\": \"ms\", \"n\": %ld}\n", (double)b.ns / 1e6, b.n);
    return 0;
}
