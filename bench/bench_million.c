// SPDX-License-Identifier: MIT
// Asks:  what does it take to have very many coroutines wait, and to wake them all?
// Shows: value: bytes each, the growth of VmRSS and VmPTE over the idle runtime; create_ms from
//        the first spawn until all are parked on one channel; wake_ms from its close until all
//        ended; mappings while they wait. With DECAY seconds as fifth argument it then waits so
//        long and adds left_percent: what of that growth is still held. Threads wait on a
//        condition variable: take a few thousand.
#include "bench/bench.h"

#include <errno.h>
#include <unistd.h>

static int64_t created_ns, woken_ns;
static long bytes_before, bytes_with, bytes_after, mappings;
static int decay_s;

static long count_mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    long n = 0;

    bench_must(file != NULL, "/proc/self/maps");
    for (int c; (c = fgetc(file)) != EOF;) n += c == '\n';
    fclose(file);
    return n;
}

static void wait_for_the_end(coir_chan *c, coir_waitgroup *parked, coir_waitgroup *done)
{
    coir_waitgroup_done(parked);
    bench_must(coir_chan_recv(c, NULL, COIR_FOREVER) == -EPIPE, "recv");
    coir_waitgroup_done(done);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_waitgroup parked = {0}, done = {0};
    coir_chan *c;

    bench_must(coir_chan_make(0, 0, &c) == 0, "make");
    coir_waitgroup_add(&parked, (int)b->n);
    coir_waitgroup_add(&done, (int)b->n);
    bytes_before = bench_memory();
    created_ns = -coir_now();
    for (long i = 0; i < b->n; i++)
        bench_must(go(wait_for_the_end, c, &parked, &done) == 0, "go");
    bench_must(coir_waitgroup_wait(&parked, COIR_FOREVER) == 0, "wait");
    created_ns += coir_now();
    bytes_with = bench_memory();
    mappings = count_mappings();
    woken_ns = -coir_now();
    coir_chan_close(c);
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    woken_ns += coir_now();
    if (decay_s) coir_sleep(decay_s * COIR_SEC);
    bytes_after = bench_memory();
    coir_chan_unref(c);
    return 0;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long n_parked;
static int closed;

static void *wait_on_a_thread(void *arg)
{
    pthread_mutex_lock(&mutex);
    n_parked++;
    pthread_cond_broadcast(&changed);
    while (!closed) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    return arg;
}

void bench_pthreads(struct bench *b)
{
    pthread_t *threads = malloc(sizeof(pthread_t) * (size_t)b->n);

    bytes_before = bench_memory();
    created_ns = -coir_now();
    for (long i = 0; i < b->n; i++) threads[i] = bench_thread(wait_on_a_thread, NULL);
    pthread_mutex_lock(&mutex);
    while (n_parked < b->n) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    created_ns += coir_now();
    bytes_with = bench_memory();
    mappings = count_mappings();
    woken_ns = -coir_now();
    pthread_mutex_lock(&mutex);
    closed = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    for (long i = 0; i < b->n; i++) pthread_join(threads[i], NULL);
    woken_ns += coir_now();
    if (decay_s) sleep((unsigned)decay_s);
    bytes_after = bench_memory();
    free(threads);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    coir_config config = COIR_CONFIG_INIT;

    if (argc < 4) {
        fprintf(stderr, "usage: %s coir|pthreads WORKERS N [DECAY]\n", argv[0]);
        return 2;
    }
    config.workers = b.workers = (unsigned)atoi(argv[2]);
    b.n = atol(argv[3]);
    decay_s = argc > 4 ? atoi(argv[4]) : 0;
    if (strcmp(argv[1], "coir") == 0)
        bench_must(coir_run(&config, bench_coir, &b) == 0, "coir_run");
    else
        bench_pthreads(&b);
    printf("{\"value\": %.1f, \"unit\": \"bytes\", \"n\": %ld, \"create_ms\": %.1f, "
           "\"wake_ms\": %.1f, \"mappings\": %ld, \"left_percent\": %.1f}\n",
           (double)(bytes_with - bytes_before) / (double)b.n, b.n,
           (double)created_ns / 1e6, (double)woken_ns / 1e6, mappings,
           100.0 * (double)(bytes_after - bytes_before) /
               (double)(bytes_with - bytes_before));
    return 0;
}
