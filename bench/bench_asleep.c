// SPDX-License-Identifier: MIT
// Asks:  what does it take to have very many sleep, and to wake them when their time comes?
// Shows: value: bytes each, the growth of VmRSS and VmPTE over the idle process; create_ms from the
//        first spawn until all sleep; wake_ms from the time that all of them sleep until to the
//        last one's end. That time is 12 us away for each, and a second.
#include "bench/bench.h"

#include <time.h>

static int64_t created_ns, woken_ns, wake_at;
static long bytes_before, bytes_with;

static void begin(const struct bench *b)
{
    bytes_before = bench_memory();
    created_ns = -coir_now();
    wake_at = coir_after(COIR_SEC + b->n * 12 * COIR_US);
}

static void all_sleep(void)
{
    created_ns += coir_now();
    bytes_with = bench_memory();
    bench_must(coir_now() < wake_at, "making them in time");
}

static void sleeps(coir_waitgroup *there, coir_waitgroup *done)
{
    coir_waitgroup_done(there);
    bench_must(coir_sleep_until(wake_at) == 0, "sleep");
    coir_waitgroup_done(done);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_waitgroup there = {0}, done = {0};

    coir_waitgroup_add(&there, (int)b->n);
    coir_waitgroup_add(&done, (int)b->n);
    begin(b);
    for (long i = 0; i < b->n; i++) bench_must(go(sleeps, &there, &done) == 0, "go");
    bench_must(coir_waitgroup_wait(&there, COIR_FOREVER) == 0, "wait");
    all_sleep();
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    woken_ns = coir_now() - wake_at;
    return 0;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;
static long n_there;

static void *sleeps_on_a_thread(void *arg)
{
    struct timespec when = {wake_at / COIR_SEC, wake_at % COIR_SEC};

    pthread_mutex_lock(&mutex);
    n_there++;
    pthread_cond_signal(&came);
    pthread_mutex_unlock(&mutex);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
    return arg;
}

void bench_pthreads(struct bench *b)
{
    pthread_t *threads = calloc((size_t)b->n, sizeof(*threads));

    bench_must(threads != NULL, "calloc");
    begin(b);
    wake_at = coir_after(COIR_SEC + b->n * 200 * COIR_US); // they take longer to make
    for (long i = 0; i < b->n; i++) threads[i] = bench_thread(sleeps_on_a_thread, NULL);
    pthread_mutex_lock(&mutex);
    while (n_there < b->n) pthread_cond_wait(&came, &mutex);
    pthread_mutex_unlock(&mutex);
    all_sleep();
    for (long i = 0; i < b->n; i++) pthread_join(threads[i], NULL);
    woken_ns = coir_now() - wake_at;
    free(threads);
}

int main(int argc, char **argv)
{
    struct bench b = {0};

    if (bench_is_coir(&b, argc, argv))
        bench_must(coir_run(&bench_config, bench_coir, &b) == 0, "coir_run");
    else
        bench_pthreads(&b);
    printf("{\"value\": %.1f, \"unit\": \"bytes\", \"n\": %ld, \"create_ms\": %.1f, "
           "\"wake_ms\": %.1f}\n",
           (double)(bytes_with - bytes_before) / (double)b.n, b.n,
           (double)created_ns / 1e6, (double)woken_ns / 1e6);
    return 0;
}
