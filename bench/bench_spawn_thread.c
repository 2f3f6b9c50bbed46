// SPDX-License-Identifier: MIT
// Asks:  what does a spawn cost an ordinary thread, beside a spawn from a coroutine?
// Shows: ns to spawn one from the thread that started the runtime and see it end, in batches of
//        1,000 over a waitgroup; "inside" is the same from a coroutine, in the same process.
//        Threads are created and joined in batches of 100.
#include "bench/bench.h"

enum { BATCH = 1000, ROUNDS = 10 };

static coir_runtime *rt;
static coir_waitgroup done;
static struct bench inside;

static void nothing(void)
{
    coir_waitgroup_done(&done);
}

static void spawn_batches(struct bench *b)
{
    for (long i = 0; i < b->n / ROUNDS; i += BATCH) {
        coir_waitgroup_add(&done, BATCH);
        for (int j = 0; j < BATCH; j++) bench_must(coir_go_on(rt, nothing) == 0, "go");
        bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    }
}

static void spawn_inside(coir_waitgroup *over)
{
    int64_t from = coir_now();

    spawn_batches(&inside);
    inside.ns += coir_now() - from;
    coir_waitgroup_done(over);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;

    bench_must(coir_start(&bench_config, &rt) == 0, "start");
    inside.n = b->n;
    for (int round = 0; round < ROUNDS; round++) { // in turns: a slow moment slows both
        coir_waitgroup over = {0};
        int64_t from = coir_now();

        spawn_batches(b);
        b->ns += coir_now() - from;
        coir_waitgroup_add(&over, 1);
        bench_must(coir_go_on(rt, spawn_inside, &over) == 0, "go");
        bench_must(coir_waitgroup_wait(&over, COIR_FOREVER) == 0, "wait");
    }
    return coir_stop(rt, COIR_FOREVER);
}

void bench_pthreads(struct bench *b)
{
    bench_spawn_threads(b);
}

int main(int argc, char **argv)
{
    struct bench b = {0};

    if (bench_is_coir(&b, argc, argv))
        bench_must(bench_coir(&b) == 0, "stop");
    else
        bench_pthreads(&b);
    printf("{\"value\": %.1f, \"unit\": \"ns\", \"n\": %ld, \"inside\": %.1f}\n",
           (double)b.ns / (double)b.n, b.n, (double)inside.ns / (double)b.n);
    return 0;
}
