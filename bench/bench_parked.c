// SPDX-License-Identifier: MIT
// Asks:  what memory does one take that waits?
// Shows: bytes each, growth of VmRSS and VmPTE over what the idle process has, while all are
//        parked on a channel. Threads wait on a condition; both have stacks of 64 KiB.
#include "bench/bench.h"

#include <errno.h>

static void wait_there(coir_chan *c, coir_waitgroup *there, coir_waitgroup *done)
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
    b->ns = -bench_memory();
    for (long i = 0; i < b->n; i++)
        bench_must(go(wait_there, c, &there, &done) == 0, "go");
    bench_must(coir_waitgroup_wait(&there, COIR_FOREVER) == 0, "wait");
    b->ns += bench_memory();
    coir_chan_close(c);
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    coir_chan_unref(c);
    return 0;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER, go_on = PTHREAD_COND_INITIALIZER;
static long n_there;
static bool over;

static void *wait_on_a_condition(void *arg)
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
    b->ns = -bench_memory();
    for (long i = 0; i < b->n; i++) threads[i] = bench_thread(wait_on_a_condition, NULL);
    pthread_mutex_lock(&mutex);
    while (n_there < b->n) pthread_cond_wait(&came, &mutex);
    b->ns += bench_memory();
    over = true;
    pthread_cond_broadcast(&go_on);
    pthread_mutex_unlock(&mutex);
    for (long i = 0; i < b->n; i++) pthread_join(threads[i], NULL);
    free(threads);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1, "bytes each");
}
