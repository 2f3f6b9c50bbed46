// SPDX-License-Identifier: MIT
// Asks:  what does it cost to have very many that sleep, each for a time of its own?
// Shows: us of processor time for each, made, asleep once for up to a second, woken and ended.
//        Threads in the number that can be had, so read the figure per unit.
#include "bench/bench.h"

#include <sys/resource.h>

static int64_t cpu_ns(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return ((int64_t)r.ru_utime.tv_sec + r.ru_stime.tv_sec) * COIR_SEC +
           ((int64_t)r.ru_utime.tv_usec + r.ru_stime.tv_usec) * COIR_US;
}

// Spread over a second, in an order that is not that of the spawns.
static int64_t length(long i)
{
    return (int64_t)(i * 7919 % 1000) * COIR_MS + COIR_MS;
}

static void sleeper(long i, coir_waitgroup *done)
{
    coir_sleep(length(i));
    coir_waitgroup_done(done);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_waitgroup done = {0};

    coir_waitgroup_add(&done, (int)b->n);
    b->ns = -cpu_ns();
    for (long i = 0; i < b->n; i++) bench_must(go(sleeper, i, &done) == 0, "go");
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    b->ns += cpu_ns();
    return 0;
}

static void *sleeping_thread(void *i)
{
    int64_t ns = length((long)(intptr_t)i);

    nanosleep(&(struct timespec){ns / COIR_SEC, ns % COIR_SEC}, NULL);
    return NULL;
}

void bench_pthreads(struct bench *b)
{
    pthread_t *threads = calloc((size_t)b->n, sizeof(*threads));

    bench_must(threads != NULL, "calloc");
    b->ns = -cpu_ns();
    for (long i = 0; i < b->n; i++)
        threads[i] = bench_thread(sleeping_thread, (void *)(intptr_t)i);
    for (long i = 0; i < b->n; i++) pthread_join(threads[i], NULL);
    b->ns += cpu_ns();
    free(threads);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1000, "CPU us each");
}
