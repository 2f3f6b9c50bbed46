// SPDX-License-Identifier: MIT
// Asks:  what does a coroutine cost whose stack nobody had before?
// Shows: ns to spawn one and have it wait, none of which has ended before all do: every stack is
//        new, its guard and its first page too. (bench_spawn has the warm ones.)
#include "bench/bench.h"

#include <errno.h>

static void waits(coir_chan *c, coir_waitgroup *there, coir_waitgroup *done)
{
    coir_waitgroup_done(there);
    bench_must(coir_chan_recv(c, NULL, COIR_FOREVER) == -EPIPE, "recv");
    coir_waitgroup_done(done);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_waitgroup there = {0}, done = {0};
    coir_chan *c;

    bench_must(coir_chan_make(0, 0, &c) == 0, "make");
    coir_waitgroup_add(&there, (int)b->n);
    coir_waitgroup_add(&done, (int)b->n);
    bench_start(b);
    for (long i = 0; i < b->n; i++) bench_must(go(waits, c, &there, &done) == 0, "go");
    bench_must(coir_waitgroup_wait(&there, COIR_FOREVER) == 0, "wait");
    bench_stop(b);
    coir_chan_close(c);
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    coir_chan_unref(c);
    return 0;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER, go_on = PTHREAD_COND_INITIALIZER;
static long n_there;
static bool over;

static void *waits_on_a_thread(void *arg)
{
    pthread_mutex_lock(&mutex);
    n_there++;
    pthread_cond_signal(&came);
    while (!over) pthread_cond_wait(&go_on, &mutex);
    pthread_mutex_unlock(&mutex);
    return arg;
}

void bench_pthreads(struct bench *b)
{
    pthread_t *threads = calloc((size_t)b->n, sizeof(*threads));

    bench_must(threads != NULL, "calloc");
    bench_start(b);
    for (long i = 0; i < b->n; i++) threads[i] = bench_thread(waits_on_a_thread, NULL);
    pthread_mutex_lock(&mutex);
    while (n_there < b->n) pthread_cond_wait(&came, &mutex);
    bench_stop(b);
    over = true;
    pthread_cond_broadcast(&go_on);
    pthread_mutex_unlock(&mutex);
    for (long i = 0; i < b->n; i++) pthread_join(threads[i], NULL);
    free(threads);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1, "ns");
}
