// SPDX-License-Identifier: MIT
// Asks:  what does a child of a scope cost that does nothing? (bench_spawn asks the same without)
// Shows: ns a child, 1,000 to a scope, which is opened, filled and waited for; threads in batches
//        of 100, created and joined.
#include "bench/bench.h"

enum { BATCH = 1000 };

static void nothing(struct bench *b)
{
    (void)b;
}

int bench_coir(void *arg)
{
    struct bench *b = arg;

    bench_start(b);
    for (long i = 0; i < b->n; i += BATCH) {
        coir_scope s;

        bench_must(coir_scope_open(&s, COIR_FOREVER) == 0, "open");
        for (int j = 0; j < BATCH; j++)
            bench_must(coir_scope_go(&s, nothing, b) == 0, "go");
        bench_must(coir_scope_wait(&s) == 0, "wait");
    }
    bench_stop(b);
    return 0;
}

void bench_pthreads(struct bench *b)
{
    bench_spawn_threads(b);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1, "ns");
}
